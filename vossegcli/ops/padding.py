"""Padding of images to a multiple of the network's stride, and the way back."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Padding(NamedTuple):
    """Pixels added at each side of an image."""

    left: int
    right: int
    top: int
    bottom: int


def centred_padding(height: int, width: int, multiple: int) -> Padding:
    """Return the centred padding that makes both sides a multiple; the odd pixel goes right and down."""
    extra_h, extra_w = -height % multiple, -width % multiple
    left, top = extra_w // 2, extra_h // 2
    return Padding(left, extra_w - left, top, extra_h - top)


def trailing_padding(height: int, width: int, multiple: int) -> Padding:
    """Return the padding to the right and below that makes both sides a multiple."""
    return Padding(0, -width % multiple, 0, -height % multiple)


def pad(x: Tensor, padding: Padding) -> Tensor:
    """Zero-pad the last two axes of `x` (...,H,W)."""
    return F.pad(x, tuple(padding)) if any(padding) else x


def unpad(x: Tensor, padding: Padding) -> Tensor:
    """Cut the padding off the last two axes of `x` (...,H,W) again."""
    height, width = x.shape[-2:]
    return x[..., padding.top : height - padding.bottom, padding.left : width - padding.right]
