"""The target model: a linear classifier of a frame's cells, fitted to the video that is being segmented (addition).

The memory says which known cell a new one looks like. The target model says what tells an object from everything else
in this video, so it also finds parts of an object that no frame has shown yet. After Robinson et al., "Learning Fast
and Robust Target Models for Video Object Segmentation" (CVPR 2020); ridge regression is solved in closed form here.

Shape letters: B clips, K classes (background is class 0), C descriptors, N cells, h8 w8 cells at stride 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.resize import size_of
from vossegcli.systems.afb_urr.config import TargetConfig
from vossegcli.systems.afb_urr.encoders import Pyramid

#: A predicted frame is learned from by one cell in as many rows and columns, other ones in each frame.
APART = 2


def describe(pyramid: Pyramid) -> Tensor:
    """Describe the cells of frames for the target model: (B,C,h8,w8).

    Each stage's features are unit vectors, so that all stages count the same; the last descriptor is 1.
    """
    size = size_of(pyramid.r3)
    stages = [F.avg_pool2d(pyramid.r2, 2), pyramid.r3]
    stages += [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in pyramid[3:] if x is not None]
    units = [F.normalize(stage, dim=1) for stage in stages]
    return torch.cat([*units, torch.ones_like(units[0][:, :1])], dim=1)


class Moments(NamedTuple):
    """Sums over cells, from which ridge regression finds its weights.

    Attributes:
        descriptors: (B,C,C) weighted mean of the products of two descriptors of a cell.
        classes: (B,C,K) weighted mean of the products of a descriptor and the share of a class.
    """

    descriptors: Tensor
    classes: Tensor

    def mixed(self, other: Moments, share: float) -> Moments:
        """Return the mean of both, in which the other one has a share in [0, 1]; one may know more classes."""
        count = max(known.classes.shape[2] for known in (self, other))
        own, others = (F.pad(known.classes, (0, count - known.classes.shape[2])) for known in (self, other))
        return Moments(self.descriptors.lerp(other.descriptors, share), own.lerp(others, share))


def moments(cells: Tensor, shares: Tensor) -> Moments:
    """Compute the moments of cells whose classes are known; all classes count the same.

    Args:
        cells: (B,C,N) descriptors.
        shares: (B,K,N) of each class in each cell.
    """
    cells = cells.float()
    total = shares.sum(dim=2, keepdim=True)  # (B,K,1)
    weights = (shares / total.clamp_min(1.0)).sum(dim=1, keepdim=True)  # (B,1,N)
    weighted = cells * (weights / weights.sum(dim=2, keepdim=True))
    return Moments(weighted @ cells.transpose(1, 2), weighted @ shares.transpose(1, 2))


def solve(known: Moments, ridge: float) -> Tensor:
    """Return the weights (B,C,K) of the linear classifier with the least squared error.

    Args:
        known: moments.
        ridge: weight of the squared weights, in mean squares of a descriptor.
    """
    scale = ridge * known.descriptors.diagonal(dim1=1, dim2=2).mean(dim=1)  # (B,)
    penalty = torch.eye(known.descriptors.shape[1], device=scale.device) * scale.view(-1, 1, 1)
    factor, _ = torch.linalg.cholesky_ex(known.descriptors + penalty)  # positive definite: no error to wait for
    return torch.cholesky_solve(known.classes, factor)


@dataclass(frozen=True, eq=False)
class TargetModel:
    """Cells of a video whose classes are known, as moments, and the classifier fitted to them.

    Attributes:
        config: its settings.
        annotated: mean moments of the annotated frames; None = no frame yet.
        frames: number of annotated frames.
        recent: running mean of the moments of the other frames; None = no frame yet.
    """

    config: TargetConfig
    annotated: Moments | None = None
    frames: int = 0
    recent: Moments | None = None

    def learned(self, cells: Tensor, masks: Tensor, index: int, *, annotated: bool) -> TargetModel:
        """Learn from a frame.

        Args:
            cells: (B,C,h8,w8) descriptors.
            masks: (B,K,H',W') masks of all classes.
            index: of the frame.
            annotated: masks of some objects were given; else all are predicted.
        """
        return self._with_annotated(cells, masks) if annotated else self._with_predicted(cells, masks, index)

    def score(self, cells: Tensor) -> Tensor:
        """Return how much each cell (B,C,h8,w8) belongs to each class: (B,K,h8,w8) float32, 1 = wholly, 0 = not."""
        assert self.annotated is not None
        known = self.annotated
        if self.recent is not None:
            known = known.mixed(self.recent, 1.0 - self.config.annotated)
        scores: Tensor = solve(known, self.config.ridge).transpose(1, 2) @ cells.flatten(2).float()  # (B,K,N)
        return scores.view(*scores.shape[:2], *size_of(cells))

    def state(self) -> dict[str, Tensor]:
        """Return all of it as named tensors."""
        tensors = {"frames": torch.tensor(self.frames)}
        for name, known in (("annotated", self.annotated), ("recent", self.recent)):
            if known is not None:
                tensors |= {f"{name}_descriptors": known.descriptors, f"{name}_classes": known.classes}
        return tensors

    def _with_annotated(self, cells: Tensor, masks: Tensor) -> TargetModel:
        given = moments(cells.flatten(2), _shares(masks, cells).flatten(2))
        known = given if self.annotated is None else self.annotated.mixed(given, 1.0 / (self.frames + 1))
        return replace(self, annotated=known, frames=self.frames + 1)

    def _with_predicted(self, cells: Tensor, masks: Tensor, index: int) -> TargetModel:
        shares = _shares(masks, cells)
        rows, columns = slice(index % APART, None, APART), slice(index // APART % APART, None, APART)
        found = moments(cells[..., rows, columns].flatten(2), shares[..., rows, columns].flatten(2))
        recent = found if self.recent is None else self.recent.mixed(found, self.config.rate)
        return replace(self, recent=recent)


def target_from_state(config: TargetConfig, tensors: Mapping[str, Tensor]) -> TargetModel:
    """Restore `TargetModel.state()`."""
    known = {
        name: Moments(tensors[f"{name}_descriptors"], tensors[f"{name}_classes"])
        for name in ("annotated", "recent")
        if f"{name}_descriptors" in tensors
    }
    return TargetModel(config, frames=int(tensors["frames"]), **known)


def _shares(masks: Tensor, cells: Tensor) -> Tensor:
    """Shares (B,K,h8,w8) of the classes of masks (B,K,H',W') in cells (B,C,h8,w8)."""
    return F.adaptive_avg_pool2d(masks.float(), size_of(cells))
