"""Places along an axis: what is covered, and evenly spaced ones; nothing here waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def span_of(covered: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first covered place and the one after the last of (...,n), each (...); without any, n and 0."""
    size = covered.shape[-1]
    place = torch.arange(size, device=covered.device)
    return torch.where(covered, place, size).amin(dim=-1), torch.where(covered, place + 1, 0).amax(dim=-1)


def within(first: Tensor, after: Tensor, size: int) -> Tensor:
    """Tell which of n places are from a first one on and before another, each (...): (...,n) bool."""
    place = torch.arange(size, device=first.device)
    inside: Tensor = (place >= first.unsqueeze(-1)) & (place < after.unsqueeze(-1))
    return inside


def even_places(count: int, most: int, device: torch.device) -> Tensor:
    """Choose at most so many of `count` places, evenly spaced: int64, ascending."""
    return torch.linspace(0, count - 1, max(0, min(most, count)), device=device).round().long()
