"""Training targets: which location is responsible for which instance, and the masks in its box.

Shape letters: n instances of an image, N locations, H W pixels, R side of a mask in its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.systems.b2inst.box_head import locations

RANGES = (0, 64, 128, 256, 512, 1 << 20)  # largest distance to a side that a level is for, in pixels
RADIUS = 1.5  # of the centre of an instance whose cells are responsible for it, in cells


class Assignment(NamedTuple):
    """Instances that the locations of all levels of one image are responsible for.

    Attributes:
        instance: (N,) int64 index of the instance, -1 = background.
        sides: (N,4) distances to the sides of its box, in cells of the level.
        centerness: (N,) in [0, 1].
    """

    instance: Tensor
    sides: Tensor
    centerness: Tensor


def assign_locations(boxes: Tensor, sizes: Sequence[tuple[int, int]]) -> Assignment:
    """FCOS' assignment with centre sampling: of several instances a location takes the smallest.

    Args:
        boxes: (n,4) in pixels.
        sizes: (h,w) of each level.
    """
    device = boxes.device
    centres, stride = locations(sizes, device)
    low, high = (
        torch.cat(
            [torch.full((h * w,), float(limit), device=device) for (h, w), limit in zip(sizes, part, strict=True)]
        )
        for part in (RANGES[:-1], RANGES[1:])
    )
    if boxes.shape[0] == 0:
        nothing = centres.new_zeros(centres.shape[0])
        return Assignment(nothing.long() - 1, nothing.unsqueeze(1).expand(-1, 4), nothing)
    sides = torch.cat([
        centres[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - centres[:, None]
    ], dim=2)  # (N,n,4)  # fmt: skip
    middle = 0.5 * (boxes[:, :2] + boxes[:, 2:])  # (n,2)
    near = (centres[:, None] - middle).abs().amax(dim=2) < RADIUS * stride[:, None]
    largest = sides.amax(dim=2)
    fits = (sides.amin(dim=2) > 0) & near & (largest >= low[:, None]) & (largest < high[:, None])
    areas = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).expand(centres.shape[0], -1)
    smallest = areas.masked_fill(~fits, float("inf")).min(dim=1)
    instance = torch.where(smallest.values.isinf(), -1, smallest.indices)
    own = sides[torch.arange(centres.shape[0], device=device), smallest.indices] / stride[:, None]
    return Assignment(instance, own, centerness_of(own) * (instance >= 0))


def centerness_of(sides: Tensor) -> Tensor:
    """FCOS' centerness of distances to the sides (N,4), in [0, 1]."""
    horizontal, vertical = sides[:, [0, 2]].clamp_min(0.0), sides[:, [1, 3]].clamp_min(0.0)
    ratio = horizontal.amin(dim=1) / horizontal.amax(dim=1).clamp_min(1e-6)
    return (ratio * vertical.amin(dim=1) / vertical.amax(dim=1).clamp_min(1e-6)).sqrt()


def masks_in_boxes(ids_map: Tensor, boxes: Tensor, instances: Tensor, resolution: int) -> Tensor:
    """Look up the masks of instances inside their boxes, (N,R,R) of 0 and 1: the pixel in the middle of each bin.

    Args:
        ids_map: (H,W), instance i has id i + 1.
        boxes: (N,4), a box of each instance in question.
        instances: (N,) which ones.
        resolution: R.
    """
    height, width = ids_map.shape
    steps = (torch.arange(resolution, device=boxes.device) + 0.5) / resolution
    x = boxes[:, 0:1] + steps * (boxes[:, 2:3] - boxes[:, 0:1])  # (N,R)
    y = boxes[:, 1:2] + steps * (boxes[:, 3:4] - boxes[:, 1:2])
    found = ids_map[y.long().clamp(0, height - 1)[:, :, None], x.long().clamp(0, width - 1)[:, None, :]]
    return (found == instances.view(-1, 1, 1) + 1).float()
