"""Sizes for work at a smaller resolution, and resizing there and back."""

from __future__ import annotations

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
