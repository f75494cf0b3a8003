"""Sine encodings of points.

Shape letters: N points, C channels, h w cells.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHORTEST, LONGEST = 32.0, 2048.0  # wavelengths in pixels


def encode_points(points: Tensor, channels: int) -> Tensor:
    """Encode points (...,2), (x, y) in pixels, as sines and cosines (...,C) of many wavelengths."""
    angles = points.float().unsqueeze(-1) * (2.0 * math.pi / wavelengths(channels, points.device))  # (...,2,C/4)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def wavelengths(channels: int, device: torch.device | None = None) -> Tensor:
    """The waves (C/4,) of an encoding, in pixels; C holds sines and cosines of each for x, then for y."""
    steps = torch.arange(channels // 4, device=device, dtype=torch.float32) / max(channels // 4 - 1, 1)
    return SHORTEST * (LONGEST / SHORTEST) ** steps


def random_origin(device: torch.device) -> Tensor:
    """Draw the place of a training crop in the plane, (2,) as (x, y) in pixels.

    Crops are small and images are not: a network that had only seen points near zero would be lost elsewhere.
    """
    return LONGEST * torch.rand(2, device=device)
