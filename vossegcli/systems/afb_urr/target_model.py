"""The target model: a linear classifier of a frame's cells, fitted to the video that is being segmented (addition).

The memory says which known cell a new one looks like. The target model says what tells an object from everything else
in this video, so it also finds parts of an object that no frame has shown yet. After Robinson et al., "Learning Fast
and Robust Target Models for Video Object Segmentation" (CVPR 2020); ridge regression is solved in closed form here.

Shape letters: B clips, K classes (background is class 0), C descriptors, N cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.pooling import halve, masks_at_stride4
from vossegcli.ops.resize import Size, enlarging_weights, size_of
from vossegcli.systems.afb_urr.config import TargetConfig
from vossegcli.systems.afb_urr.decoder import EPS, two_largest
from vossegcli.systems.afb_urr.encoders import Pyramid

#: Frames are learned from at stride 4, by one cell in as many rows and columns: an annotated one, and any other,
#: from which each frame takes other cells.
ANNOTATED_APART, APART = 2, 4
#: A cell of an annotated frame that is taken for something else altogether counts as much more as this.
MISTAKES = 10.0
#: Cells of the background count more the more of an object lies within as many cells of them.
AROUND = 6

#: What a frame's stages look like, each (B,C,H/s,W/s) from stride 4 on.
Stages = tuple[Tensor, ...]


def describe(frames: Tensor, pyramid: Pyramid) -> Stages:
    """Describe frames for the target model.

    Features have unit length, so that all stages count the same. At stride 4 those of stride 2 are added, and colours
    with their products, which tell outlines apart.

    Args:
        frames: (B,3,H,W) RGB in [0, 1].
        pyramid: their features.
    """
    finest, *stages = (stage.detach() for stage in pyramid if stage is not None)
    edges, fine, *coarse = (F.normalize(stage, dim=1) for stage in (F.avg_pool2d(finest, 2), *stages))
    red, green, blue = colours = (halve(halve(frames)) - 0.5).to(fine.dtype).split(1, dim=1)
    pairs = ((red, red), (green, green), (blue, blue), (red, green), (green, blue), (red, blue))
    return (torch.cat([fine, edges, *colours, *(one * other for one, other in pairs)], dim=1), *coarse)


class Grid(NamedTuple):
    """The cells at stride 4 that are learned from: those of some rows and columns."""

    rows: slice
    columns: slice

    def of(self, maps: Tensor) -> Tensor:
        """Take the cells (B,N,C) out of maps (B,C,H/4,W/4)."""
        return maps[..., self.rows, self.columns].permute(0, 2, 3, 1).flatten(1, 2)


def grid_of(index: int, *, annotated: bool) -> Grid:
    """Choose the cells by which a frame is learned from."""
    if annotated:
        return Grid(slice(0, None, ANNOTATED_APART), slice(0, None, ANNOTATED_APART))
    return Grid(slice(index % APART, None, APART), slice(index // APART % APART, None, APART))


def descriptors(stages: Stages, grid: Grid) -> Tensor:
    """Put what the stages tell of the cells of a grid side by side: (B,N,C) float32, the last of which is 1."""
    size = size_of(stages[0])
    parts = [_brought_to_grid(stage, size, grid) for stage in stages]
    return torch.cat([*parts, torch.ones_like(parts[0][..., :1])], dim=2)


def _brought_to_grid(maps: Tensor, size: Size, grid: Grid) -> Tensor:
    """Bring maps (B,C,h,w) to a size (bilinear), where the cells of a grid are: (B,N,C) float32."""
    if size_of(maps) == size:
        return grid.of(maps).float()
    chosen = zip(size, size_of(maps), grid, strict=True)
    rows, columns = (enlarging_weights(maps.device, new, old)[part] for new, old, part in chosen)
    lines = maps.float().permute(0, 2, 3, 1)  # (B,h,w,C), as they lie in memory
    lines = (rows @ lines.flatten(2)).unflatten(2, lines.shape[2:])
    cells: Tensor = (columns @ lines).flatten(1, 2)
    return cells


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


def near_objects(shares: Tensor) -> Tensor:
    """Tell how much of the cells around each is not background: (B,1,H/4,W/4) of shares (B,K,H/4,W/4)."""
    background, side = shares[:, :1], 2 * AROUND + 1
    for window, margin in (((side, 1), (AROUND, 0)), ((1, side), (0, AROUND))):  # much faster than a square one
        background = F.avg_pool2d(background, window, 1, margin, count_include_pad=False)
    return 1.0 - background


def certainty(shares: Tensor) -> Tensor:
    """Tell how much predicted shares (B,K,H/4,W/4) can be learned from: (B,1,H/4,W/4), 1 = wholly.

    What was missed is mostly unsure, and would be missed for ever if it were learned as background.
    """
    first, second = two_largest(shares)
    return (first - second) ** 4


def counts_of(shares: Tensor, near: Tensor) -> Tensor:
    """Count cells so that all classes count the same, and half of what the background counts is near the objects.

    With all of its cells alike, those between the legs of an animal, which look like it from afar, would be outweighed.

    Args:
        shares: (B,N,K) of each class in each cell.
        near: (B,N,1) how much of an object is around each cell.

    Returns:
        (B,N,1).
    """
    background = shares[..., :1]
    others = _shared_out(shares[..., 1:]).sum(dim=2, keepdim=True)
    return others + 0.5 * (_shared_out(background) + _shared_out(background * near))


def mistakes(cells: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """Tell how much more those cells count that a first classifier gets wrong: (B,N,1), 1 = not at all.

    Most cells are easy; the squares of their small errors would outweigh what is hard to tell apart.

    Args:
        cells: (B,N,C) descriptors.
        shares: (B,N,K) of each class in each cell.
        weights: (B,C,K) of the classifier.
    """
    wrong = (cells @ weights - shares).abs().amax(dim=2, keepdim=True).clamp_max(1.0)
    return 1.0 + MISTAKES * wrong


def moments(cells: Tensor, shares: Tensor, counts: Tensor) -> Moments:
    """Compute the moments of cells whose classes are known.

    Args:
        cells: (B,N,C) descriptors.
        shares: (B,N,K) of each class in each cell.
        counts: (B,N,1) how much each cell counts.
    """
    weights = counts / counts.sum(dim=1, keepdim=True).clamp_min(EPS)
    weighted = (cells * weights).transpose(1, 2)
    return Moments(weighted @ cells, weighted @ shares)


def _shared_out(shares: Tensor) -> Tensor:
    """Divide shares (B,N,K) by their sum over the cells; what is less than a cell in all counts less."""
    return shares / shares.sum(dim=1, keepdim=True).clamp_min(1.0)


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
        frames: how many there were.
        recent: running mean of the moments of the other frames; None = no frame yet.
    """

    config: TargetConfig
    annotated: Moments | None = None
    frames: float = 0.0
    recent: Moments | None = None

    def learned(self, stages: Stages, masks: Tensor, index: int, *, annotated: bool, worth: float = 1.0) -> TargetModel:
        """Learn from a frame.

        Args:
            stages: of the frame, from `describe`.
            masks: (B,K,H',W') masks of all classes.
            index: of the frame.
            annotated: masks of some objects were given; else all are predicted.
            worth: how many frames an annotated one counts as.
        """
        small = masks_at_stride4(masks)
        grid = grid_of(index, annotated=annotated)
        shares = grid.of(small)
        cells = descriptors(stages, grid)
        counts = counts_of(shares, grid.of(near_objects(small)))
        if annotated:
            counts = counts * mistakes(cells, shares, solve(moments(cells, shares, counts), self.config.ridge))
        else:
            counts = counts * grid.of(certainty(small))
        found = moments(cells, shares, counts)
        if annotated:
            known = found if self.annotated is None else self.annotated.mixed(found, worth / (self.frames + worth))
            return replace(self, annotated=known, frames=self.frames + worth)
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
    return TargetModel(config, frames=float(tensors["frames"]), **known)


def _brought(maps: Tensor, size: Size) -> Tensor:
    """Bring maps (B,C,h,w) to a size (bilinear)."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
