"""Conversions between label maps (ids), one-hot masks and per-class probabilities.

Shape letters: K classes with background as class 0, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PROBABILITY_EPS = 1e-7


def one_hot_classes(label_map: Tensor, ids: Sequence[int]) -> Tensor:
    """Turn ids into one mask a class.

    Args:
        label_map: (H,W) integer ids; every id that is not in `ids` counts as background.
        ids: object ids in the order of classes 1, 2, ...

    Returns:
        (K,H,W) float32 masks of 0 and 1 with K = len(ids) + 1; class 0 is whatever no object covers.
    """
    wanted = torch.tensor(list(ids), device=label_map.device, dtype=torch.int64).view(-1, 1, 1)
    objects = label_map.to(torch.int64).unsqueeze(0) == wanted  # (K-1,H,W)
    background = ~objects.any(dim=0, keepdim=True)  # (1,H,W)
    return torch.cat([background, objects]).float()


def label_map_from_classes(classes: Tensor, ids: Sequence[int]) -> Tensor:
    """Map class indices (H,W) in 0..K-1 back to object ids; class 0 is background (0)."""
    table = torch.tensor([0, *ids], device=classes.device, dtype=torch.int32)
    return table[classes]


def log_odds(probs: Tensor) -> Tensor:
    """Return log(p / (1 - p)) with p kept `PROBABILITY_EPS` away from 0 and 1, in float32."""
    p = probs.float().clamp(PROBABILITY_EPS, 1.0 - PROBABILITY_EPS)
    return torch.log(p / (1.0 - p))
