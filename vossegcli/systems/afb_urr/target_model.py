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

from vossegcli.ops.resize import Size, size_of
from vossegcli.systems.afb_urr.config import TargetConfig
from vossegcli.systems.afb_urr.encoders import Pyramid

#: A predicted frame is learned from by one cell in as many rows and columns, other ones in each frame.
APART = 2

#: Unit features of a frame's stages, each (B,C,H/s,W/s) from stride 4 on.
Stages = tuple[Tensor, ...]


def describe(pyramid: Pyramid) -> Stages:
    """Describe frames for the target model: features of unit length, so that all stages count the same."""
    return tuple(F.normalize(stage.detach(), dim=1) for stage in pyramid[1:] if stage is not None)


def cells_of(stages: Stages) -> Tensor:
    """Bring the stages to stride 8, side by side: descriptors (B,C,h8,w8) of cells, the last of which is 1."""
    fine, own, *coarse = stages
    ones = torch.ones_like(own[:, :1])
    return torch.cat([F.avg_pool2d(fine, 2), own, *(_brought(stage, size_of(own)) for stage in coarse), ones], dim=1)


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

    def learned(self, stages: Stages, masks: Tensor, index: int, *, annotated: bool) -> TargetModel:
        """Learn from a frame.

        Args:
            stages: of the frame, from `describe`.
            masks: (B,K,H',W') masks of all classes.
            index: of the frame.
            annotated: masks of some objects were given; else all are predicted.
        """
        cells = cells_of(stages)
        shares = F.adaptive_avg_pool2d(masks.float(), size_of(cells))
        if annotated:
            given = moments(cells.flatten(2), shares.flatten(2))
            known = given if self.annotated is None else self.annotated.mixed(given, 1.0 / (self.frames + 1))
            return replace(self, annotated=known, frames=self.frames + 1)
        rows, columns = slice(index % APART, None, APART), slice(index // APART % APART, None, APART)
        found = moments(cells[..., rows, columns].flatten(2), shares[..., rows, columns].flatten(2))
        recent = found if self.recent is None else self.recent.mixed(found, self.config.rate)
        return replace(self, recent=recent)

    def score(self, stages: Stages) -> Tensor:
        """Return how much each place of a frame belongs to each class: (B,K,H/4,W/4) float32, 1 = wholly, 0 = not.

        The classifier is linear: each stage is classified at its own stride, and the scores are added up.
        """
        assert self.annotated is not None
        known = self.annotated
        if self.recent is not None:
            known = known.mixed(self.recent, 1.0 - self.config.annotated)
        weights = solve(known, self.config.ridge).transpose(1, 2)  # (B,K,C)
        size = size_of(stages[0])
        scores = weights[:, :, -1:, None].expand(-1, -1, *size)
        first = 0
        for stage in stages:
            own = weights[:, :, first : first + stage.shape[1]]
            scores = scores + _brought((own @ stage.flatten(2).float()).unflatten(2, size_of(stage)), size)
            first += stage.shape[1]
        return scores

    def state(self) -> dict[str, Tensor]:
        """Return all of it as named tensors."""
        tensors = {"frames": torch.tensor(self.frames)}
        for name, known in (("annotated", self.annotated), ("recent", self.recent)):
            if known is not None:
                tensors |= {f"{name}_descriptors": known.descriptors, f"{name}_classes": known.classes}
        return tensors


def target_from_state(config: TargetConfig, tensors: Mapping[str, Tensor]) -> TargetModel:
    """Restore `TargetModel.state()`."""
    known = {
        name: Moments(tensors[f"{name}_descriptors"], tensors[f"{name}_classes"])
        for name in ("annotated", "recent")
        if f"{name}_descriptors" in tensors
    }
    return TargetModel(config, frames=int(tensors["frames"]), **known)


def _brought(maps: Tensor, size: Size) -> Tensor:
    """Bring maps (B,C,h,w) to a size (bilinear)."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
