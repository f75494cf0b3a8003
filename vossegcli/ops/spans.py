"""From where to where something is covered along an axis; nothing here waits for the device."""

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
