"""Boundaries of masks and of maps of ids. Shape letters: N masks, H W pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_boundary(masks: Tensor) -> Tensor:
    """Laplacian of masks (N,H,W) in [0, 1], negative values cut off: where a mask is more than its neighbours.

    Beyond the border the mask repeats, so that an object which an image cuts has no boundary there.
    """
    kernel = masks.new_full((1, 1, 3, 3), -1.0)
    kernel[0, 0, 1, 1] = 8.0
    padded = F.pad(masks.unsqueeze(1), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel)[:, 0].clamp(0.0, 1.0)


def boundary_map(ids_map: Tensor) -> Tensor:
    """One boundary map (H,W) of 0 and 1 for all instances of an image, from their ids (H,W), 0 = background.

    The same as the thresholded Laplacian of every instance's mask, joined: the pixels of an instance that have
    another id beside them (8 neighbours).
    """
    padded = F.pad(ids_map.float()[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    height, width = ids_map.shape
    differs = torch.zeros_like(ids_map, dtype=torch.bool)
    for dy in range(3):
        for dx in range(3):
            differs |= padded[dy : dy + height, dx : dx + width] != padded[1:-1, 1:-1]
    return (differs & (ids_map > 0)).float()
