"""Feature weighting: which features tell the class from its surroundings (paper sec. 3.3).

Shape letters: K supports, N prototypes, B queries, C channels, h w cells. Masks are soft, in [0, 1], at the features'
size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
SMALLEST_SPAN = 0.05  # of the levels, below which noise would be blown up
LARGEST_LEVEL = 3.0


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


class Levels(NamedTuple):
    """Mean similarity that prototypes reach on the surroundings of a class and on the class; (B,N) each."""

    low: Tensor
    high: Tensor


def region_levels(maps: Tensor, inside: Tensor, outside: Tensor) -> Levels:
    """The levels of N prototypes in each image.

    Args:
        maps: (B,N,h,w) similarities.
        inside: (B,h,w) share of each cell that is the class.
        outside: (B,h,w) share that is not.
    """
    return Levels(*(
        (maps * part.unsqueeze(1)).sum(dim=(2, 3)) / part.sum(dim=(1, 2)).clamp_min(EPSILON).unsqueeze(1)
        for part in (outside, inside)
    ))  # fmt: skip


def support_levels(maps: Tensor, inside: Tensor, outside: Tensor) -> Levels:
    """The levels averaged over the supports, as `region_levels`; (1,N) each."""
    low, high = region_levels(maps, inside, outside)
    return Levels(low.mean(dim=0, keepdim=True), high.mean(dim=0, keepdim=True))


def calibrate(maps: Tensor, levels: Levels) -> Tensor:
    """Similarities (B,N,h,w) on a scale where the supports' surroundings are 0 and the class is 1; our addition.

    How alike class and surroundings are differs from class to class; a head that sees the bare cosine cannot know.
    """
    span = (levels.high - levels.low).clamp_min(SMALLEST_SPAN)
    scaled = (maps - levels.low[:, :, None, None]) / span[:, :, None, None]
    return scaled.clamp(-LARGEST_LEVEL, LARGEST_LEVEL)
