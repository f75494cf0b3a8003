"""Masks inside boxes as parts of their images. Shape letters: N instances, R side of a mask, H W pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor


def paste_mask(mask: Tensor, box: Tensor, size: tuple[int, int]) -> tuple[int, int, Tensor]:
    """Bring the mask of one instance into its image; only the pixels that its box touches are computed.

    Args:
        mask: (R,R) probabilities inside the box.
        box: (4,) (x1, y1, x2, y2) in pixels.
        size: (H,W) of the image.

    Returns:
        upper row, left column, and (h,w) bool of the part of the image that the box touches; empty beyond the image.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
    right, bottom = min(size[1], math.ceil(x2)), min(size[0], math.ceil(y2))
    if right <= left or bottom <= top or x2 <= x1 or y2 <= y1:
        return top, left, torch.zeros(0, 0, dtype=torch.bool, device=mask.device)
    x = (torch.arange(left, right, device=mask.device) + 0.5 - x1) / (x2 - x1) * 2.0 - 1.0
    y = (torch.arange(top, bottom, device=mask.device) + 0.5 - y1) / (y2 - y1) * 2.0 - 1.0
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=2).unsqueeze(0)  # (1,h,w,2) as (x, y)
    values = F.grid_sample(mask[None, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return top, left, values[0, 0] > 0.5


def pasted_instances(
    found: tuple[Tensor, Tensor, Tensor, Tensor, Tensor], size: tuple[int, int]
) -> Iterator[tuple[list[float], float, int, tuple[int, int, npt.NDArray[np.bool_]]]]:
    """Yield the instances of an image off the device: box, score, label, and what `paste_mask` gives for the mask.

    Args:
        found: boxes (N,4), scores (N,), labels (N,), masks (N,R,R) and the regions (N,4) that they cover.
        size: (H,W) of the image.
    """
    for box, score, label, mask, region in zip(*(part.cpu() for part in found), strict=True):
        top, left, pixels = paste_mask(mask, region, size)
        yield box.tolist(), float(score), int(label), (top, left, pixels.numpy())
