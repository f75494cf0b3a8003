"""Presence of the class in an image: statistics of the mask that was found, and a small network that reads them.

An addition to the paper, which is given images with the class only.

Shape letters: K supports, B images, M maps, C channels, G groups of channels, S statistics, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vossegcli.systems.fwb.feature_weighting import EPSILON, class_average

TOP_SHARE = 0.02  # of the cells
FEWEST = 1e-3
LARGEST = 4.0
HIDDEN = 16


class Reference(NamedTuple):
    """The supports of a class, described for comparison.

    Attributes:
        inside: (C,) mean feature of the class.
        outside: (C,) of its surroundings.
        spread: (G,) how far the class features of single supports lie from those of the others; 0 with one support.
        levels: (M,) mean of each map on the class.
        single: () 1 if there is only one support.
    """

    inside: Tensor
    outside: Tensor
    spread: Tensor
    levels: Tensor
    single: Tensor


def make_reference(features: Tensor, inside: Tensor, outside: Tensor, maps: Tensor, groups: Sequence[int]) -> Reference:
    """Describe the supports.

    Args:
        features: (K,C,h,w).
        inside: (K,h,w) share of each cell that is the class.
        outside: (K,h,w) share that is not.
        maps: (K,M,h,w).
        groups: channels of each part of the features.
    """
    each, around = class_average(features, inside), class_average(features, outside).mean(dim=0)
    mean, count = each.mean(dim=0), len(each)
    scale = _lengths(mean - around, groups)
    # The mean of the others is as far from a support as K / (K - 1) times the mean of all.
    spread = _lengths(each - mean, groups).mean(dim=0) * (count / max(count - 1, 1)) / scale
    levels = (maps * inside.unsqueeze(1)).sum(dim=(0, 2, 3)) / inside.sum().clamp_min(EPSILON)
    return Reference(mean, around, spread.clamp_max(LARGEST), levels, mean.new_tensor(float(count == 1)))


def presence_statistics(
    reference: Reference, features: Tensor, maps: Tensor, probs: Tensor, groups: Sequence[int]
) -> Tensor:
    """Compute statistics that tell an image with the class from one without.

    Args:
        reference: the supports.
        features: (B,C,h,w).
        maps: (B,M,h,w).
        probs: (B,h,w) rough probability of the class.
        groups: channels of each part of the features.

    Returns:
        (B,S): how much was found, how certain it is, how it compares with the supports in each map, and how far it lies
        from the class and from its surroundings in each group of channels, in units of the distance between the two.
    """
    total = probs.sum(dim=(1, 2)).clamp_min(EPSILON)
    flat = probs.flatten(1)
    top = flat.topk(max(1, round(TOP_SHARE * flat.shape[1])), dim=1).values.mean(dim=1)
    amount = torch.stack([(flat.mean(dim=1) + FEWEST).log(), top, flat.square().sum(dim=1) / total], dim=1)
    reached = (maps * probs.unsqueeze(1)).sum(dim=(2, 3)) / total.unsqueeze(1) - reference.levels  # (B,M)
    found = class_average(features, probs)  # (B,C)
    scale = _lengths(reference.inside - reference.outside, groups)
    near = _lengths(found - reference.inside, groups) / scale
    far = _lengths(found - reference.outside, groups) / scale
    constant = torch.cat([reference.levels, reference.spread, reference.single.view(1)]).expand(len(probs), -1)
    return torch.cat([amount, reached, near.clamp_max(LARGEST), far.clamp_max(LARGEST), constant], dim=1)


def statistics_count(maps: int, groups: int) -> int:
    """S for so many maps and groups of channels."""
    return 4 + 2 * maps + 3 * groups


class Presence(nn.Sequential):
    """From statistics (B,S) to the log-odds (B,1) that the class is there."""

    def __init__(self, statistics: int) -> None:
        scaled = nn.BatchNorm1d(statistics, affine=False)  # they have different units
        super().__init__(scaled, nn.Linear(statistics, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, 1))


def _lengths(x: Tensor, groups: Sequence[int]) -> Tensor:
    """Length of each group of the channels of (...,C): (...,G), above 0."""
    parts = [part.square().sum(dim=-1) for part in x.split(list(groups), dim=-1)]
    return (torch.stack(parts, dim=-1) + EPSILON).sqrt()
