"""Mixed precision."""

from __future__ import annotations

import torch


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Return the context in which a network computes in `precision`; float32 switches autocast off."""
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)
