"""Cells of feature maps. Shape letters: h w cells."""

from __future__ import annotations

import torch
from torch import Tensor


def cell_centres(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """Centres (h,w,2) of cells as (x, y) in pixels."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1) * stride + stride / 2
