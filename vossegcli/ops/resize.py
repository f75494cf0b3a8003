"""Sizes for work at a smaller resolution, and resizing there and back."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
LONGEST = 5 / 3  # long side to short side of what images are scaled to, at most


def size_of(x: Tensor) -> Size:
    """Return (H,W) of (...,H,W)."""
    return int(x.shape[-2]), int(x.shape[-1])


def working_size(size: Size, short_side: int | None) -> Size:
    """Return (H,W) with the short side brought down to `short_side`; smaller images and None stay as they are."""
    height, width = size
    if short_side is None or min(size) <= short_side:
        return size
    scale = short_side / min(size)
    return max(1, round(height * scale)), max(1, round(width * scale))


def scaled_size(size: Size, short_side: int) -> Size:
    """Return (H,W) with the short side at `short_side`, also of smaller images, but the long one at 5/3 of it at most.

    0 leaves the size as it is.
    """
    if not short_side:
        return size
    scale = min(short_side / min(size), LONGEST * short_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_smooth(x: Tensor, size: Size) -> Tensor:
    """Resize (B,C,H,W) bilinearly, with antialiasing where it shrinks."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)


def row_weights(height: int, small: int) -> tuple[list[int], Tensor]:
    """Weights with which rows are enlarged bilinearly, as `resize_smooth` does it.

    Args:
        height: H rows to make.
        small: h <= H rows that there are.

    Returns:
        for each new row the old one at or above it, and (H,h) weights of the old ones.
    """
    centres = ((torch.arange(height, dtype=torch.float64) + 0.5) * (small / height) - 0.5).clamp(0.0, small - 1.0)
    above = centres.floor().long()
    beneath = (above + 1).clamp_max(small - 1)
    share = (centres - above).float()
    weights = torch.zeros(height, small)
    rows = torch.arange(height)
    weights[rows, above] += 1.0 - share
    weights[rows, beneath] += share
    return above.tolist(), weights


@lru_cache(maxsize=32)
def enlarging_weights(device: torch.device, height: int, small: int) -> Tensor:
    """Weights (H,h) of `row_weights` on a device, which the frames of a video share; not to be changed."""
    with torch.inference_mode(mode=False):
        return row_weights(height, small)[1].to(device)
