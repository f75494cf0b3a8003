"""Where things are: sine encodings of places, and places that queries begin at.

Shape letters: N places, C channels, h w cells.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHORTEST, LONGEST = 32.0, 2048.0  # wavelengths in pixels
_PLASTIC = 1.32471795724474602596  # its powers spread a sequence evenly over a square (Roberts' R2)


def encode_places(places: Tensor, channels: int) -> Tensor:
    """Encode places (...,2), (x, y) in pixels, as sines and cosines (...,C) of many wavelengths."""
    steps = torch.arange(channels // 4, device=places.device, dtype=torch.float32) / max(channels // 4 - 1, 1)
    waves = 2.0 * math.pi / (SHORTEST * (LONGEST / SHORTEST) ** steps)
    angles = places.float().unsqueeze(-1) * waves  # (...,2,C/4)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def cell_places(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """Centres (h,w,2) of cells as (x, y) in pixels."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1) * stride + stride / 2


def spread_places(count: int) -> Tensor:
    """Spread places (N,2) evenly over the unit square."""
    number = torch.arange(1, count + 1, dtype=torch.float64).unsqueeze(1)
    return ((number / torch.tensor([_PLASTIC, _PLASTIC**2], dtype=torch.float64) + 0.5) % 1.0).float()
