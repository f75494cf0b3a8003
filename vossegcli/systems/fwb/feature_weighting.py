"""Feature weighting: which features tell the class from its surroundings (paper sec. 3.3).

Shape letters: K supports, N prototypes, B queries, C channels, h w cells. Masks are soft, in [0, 1], at the features'
size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6


def class_average(features: Tensor, masks: Tensor) -> Tensor:
    """Mean feature of each support's masked cells, `f_s = 1/|m| sum_i F_i m_i` (paper eq. 1).

    Args:
        features: (K,C,h,w).
        masks: (K,h,w).

    Returns:
        (K,C); zeros where a mask is empty.
    """
    total = torch.einsum("kchw,khw->kc", features, masks)
    return total / masks.sum(dim=(1, 2)).clamp_min(EPSILON).unsqueeze(1)


def class_difference(features: Tensor, masks: Tensor, outside: Tensor | None = None) -> Tensor:
    """Sum over the supports how much higher each feature is on the class than around it (paper eq. 4).

    `phi = sum_i F_i [m_i / |m| - (1 - m_i) / (wh - |m|)]`.

    Args:
        features: (K,C,h,w).
        masks: (K,h,w).
        outside: (K,h,w) the surroundings; None = all that the masks are not.

    Returns:
        (C,).
    """
    around = 1.0 - masks if outside is None else outside
    return (class_average(features, masks) - class_average(features, around)).sum(dim=0)


def relevance(difference: Tensor) -> Tensor:
    """The unit vector r that maximises `phi . r`, which is phi's own direction (paper eq. 5-6)."""
    return F.normalize(difference, dim=-1, eps=EPSILON)


def similarity_maps(prototypes: Tensor, weights: Tensor, features: Tensor) -> Tensor:
    """Cosine of weighted prototypes and weighted features, `cos(f * r, F_i * r)` (paper eq. 3 and 7).

    All prototypes are compared in one matrix product, and the weighted features are never written out: with
    `r^2 . F_i^2` for their length, the weights go to the prototypes' side.

    Args:
        prototypes: (B,N,C), or (1,N,C): the same for all images.
        weights: (B,N,C) relevance, where B and N may be 1; ones for the plain cosine.
        features: (B,C,h,w).

    Returns:
        (B,N,h,w) in [-1, 1].
    """
    cells = features.flatten(2)  # (B,C,h*w)
    squared = weights.square()
    product = (prototypes * squared).expand(cells.shape[0], -1, -1) @ cells
    lengths = (squared.expand(cells.shape[0], -1, -1) @ cells.square()).clamp_min(EPSILON**2).sqrt()
    norms = (prototypes * weights).norm(dim=2, keepdim=True).clamp_min(EPSILON)
    maps: Tensor = (product / (norms * lengths)).unflatten(2, features.shape[2:])
    return maps
