"""More than one vector a class: prototypes of the class and of its surroundings by k-means (an addition to the paper).

The mean of a class whose parts differ looks like none of them, and what a class is told from matters as much as what it
is. Shape letters: K supports, N experts, V vectors, P prototypes, n cells, B queries, C channels, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.systems.fwb.feature_weighting import EPSILON, class_average, similarity_maps

Counts = tuple[int, int]
ITERATIONS = 5
#: Cells that k-means looks at, evenly spaced; more change little.
MOST_CELLS = 4096
HALF = 0.5


class Comparison(NamedTuple):
    """Every cell of images compared with a class.

    Attributes:
        cosine: (B,N,h,w) weighted cosine to each expert's class feature.
        near: (B,N,G+1,h,w) squared distance to the nearest prototype of the class, in each group of channels and in
            all; (B,N,0,h,w) where there are no prototypes.
        far: likewise, to the nearest of the surroundings.
    """

    cosine: Tensor
    near: Tensor
    far: Tensor

    def of_image(self, index: int) -> Comparison:
        """Return the comparison of one of the images, B = 1."""
        return Comparison(*(part[index : index + 1] for part in self))


def class_vectors(
    features: Tensor, inside: Tensor, outside: Tensor, counts: Counts, most: int = MOST_CELLS, *, draw: int = 0
) -> Tensor:
    """Find the vectors that stand for a class: the paper's class feature, and prototypes.

    Args:
        features: (K,C,h,w) of the supports.
        inside: (K,h,w) share of each cell that is the class.
        outside: (K,h,w) share that is not.
        counts: prototypes of the class and of its surroundings; 0 and 0 = the paper.
        most: cells that k-means looks at, of each of the two.
        draw: k-means begins from other seeds in each.

    Returns:
        (V,C): the mean class feature (paper eq. 1), then the prototypes of the class, then those of its surroundings.
    """
    with torch.autocast(features.device.type, enabled=False):
        vectors = [class_average(features, inside).mean(dim=0, keepdim=True)]
        cells = features.flatten(2).transpose(1, 2).flatten(0, 1)  # (K*h*w,C)
        for share, count in zip((inside, outside), counts, strict=True):
            if count:
                vectors.append(prototypes_of(cells, clear_share(share.flatten()), count, most, draw=draw))
        return torch.cat(vectors)


def prototypes_of(cells: Tensor, weights: Tensor, count: int, most: int = MOST_CELLS, *, draw: int = 0) -> Tensor:
    """Compute the weighted means (count,C) of the clusters of cells (n,C); an empty one gets the mean of all.

    Which cell belongs to which cluster takes no gradient. Without any weight the means are 0.
    """
    counted = weights.nonzero()[:, 0]
    counted = counted[:: math.ceil(len(counted) / most) or 1]
    cells, weights = cells[counted], weights[counted]
    if not len(cells):
        return cells.new_zeros(count, cells.shape[1])
    clusters = k_means(cells.detach(), weights, count, draw)
    share = _shares(clusters, weights, count)
    sums = share.sum(dim=0).unsqueeze(1)
    means = share.T @ cells / sums.clamp_min(EPSILON)
    return torch.where(sums > 0, means, (weights @ cells) / weights.sum())


def k_means(cells: Tensor, weights: Tensor, count: int, draw: int = 0) -> Tensor:
    """Assign cells (n,C) with weights (n,) to clusters, by Lloyd's algorithm from k-means++ seeds.

    Deterministic: the same cells give the same clusters in each draw.

    Returns:
        (n,) int64 in 0..count-1.
    """
    centres = _seeds(cells, weights, count, torch.Generator().manual_seed(draw))
    clusters = _nearest(cells, centres)
    for _ in range(ITERATIONS):
        share = _shares(clusters, weights, count)
        sums = share.sum(dim=0).unsqueeze(1)
        centres = torch.where(sums > 0, share.T @ cells / sums.clamp_min(EPSILON), centres)
        clusters = _nearest(cells, centres)
    return clusters


def compare(vectors: Tensor, relevance: Tensor, features: Tensor, count: int, groups: Sequence[int]) -> Comparison:
    """Compare every cell with a class.

    Args:
        vectors: (N,V,C) from `class_vectors`, one set for each expert.
        relevance: (C,) of the features; ones for the plain cosine.
        features: (B,C,h,w).
        count: prototypes of the class.
        groups: channels of each part of the features.
    """
    with torch.autocast(features.device.type, enabled=False):  # differences of distances are small
        cosine = similarity_maps(vectors[:, 0].unsqueeze(0), relevance.view(1, 1, -1), features)  # (B,N,h,w)
        if not count:
            none = cosine.new_zeros(*cosine.shape[:2], 0, *cosine.shape[2:])
            return Comparison(cosine, none, none)
        return Comparison(cosine, *nearest_prototypes(vectors[:, 1:], features, count, groups))


def nearest_prototypes(
    prototypes: Tensor, features: Tensor, count: int, groups: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Squared distances of cells (B,C,h,w) to the nearest of `count` prototypes of the class, and of the other ones.

    Args:
        prototypes: (N,P,C), those of the class first.
        features: (B,C,h,w).
        count: prototypes of the class.
        groups: channels of each part of the features.

    Returns:
        (B,N,G+1,h,w) each: for each group of channels, and last for all of them.
    """
    with torch.autocast(features.device.type, enabled=False):
        parts = zip(prototypes.split(list(groups), dim=2), features.split(list(groups), dim=1), strict=True)
        squares = torch.stack([squared_distances(*part) for part in parts], dim=2)  # (B,N,G,P,h,w)
        squares = torch.cat([squares, squares.sum(dim=2, keepdim=True)], dim=2)
        return squares[:, :, :, :count].amin(dim=3), squares[:, :, :, count:].amin(dim=3)


def class_maps(compared: Comparison) -> Tensor:
    """Make the maps that the head sees: how similar every cell is to the class.

    Returns:
        (B,N,M,h,w): the weighted cosine to the class feature (paper eq. 3 and 7). With prototypes also minus the
        distance to the nearest of the class; if there are several groups of channels, for each of them how much nearer
        the nearest of the class is than the nearest of the surroundings; and last the same for all channels.
    """
    cosine = compared.cosine.unsqueeze(2)
    if not compared.near.shape[2]:
        return cosine
    near = compared.near.sqrt()
    nearer = compared.far.sqrt() - near
    first = 0 if nearer.shape[2] > 2 else 1  # one group is the same as all channels  # noqa: PLR2004
    return torch.cat([cosine, -near[:, :, -1:], nearer[:, :, first:]], dim=2)


def maps_count(count: int, groups: Sequence[int]) -> int:
    """M for so many prototypes and groups of channels."""
    return 1 if not count else 3 if len(groups) == 1 else 3 + len(groups)


def squared_distances(vectors: Tensor, features: Tensor) -> Tensor:
    """Squared distances of all cells of (B,C,h,w) to vectors (N,P,C): (B,N,P,h,w), above 0."""
    cells, flat = features.flatten(2), vectors.flatten(0, 1)  # (B,C,h*w), (N*P,C)
    squares = cells.square().sum(dim=1, keepdim=True) + flat.square().sum(dim=1).view(1, -1, 1)
    distances = (squares - 2.0 * (flat @ cells)).clamp_min(EPSILON)  # (B,N*P,h*w)
    shaped: Tensor = distances.unflatten(1, vectors.shape[:2]).unflatten(3, features.shape[2:])
    return shaped


def clear_share(share: Tensor) -> Tensor:
    """Shares of cells (n,) without those of less than a half, unless all are."""
    clear = torch.where(share >= HALF, share, 0.0)
    return torch.where(clear.any(), clear, share)


def _shares(clusters: Tensor, weights: Tensor, count: int) -> Tensor:
    """Put the weight (n,) of each cell into the column of its cluster: (n,count)."""
    return torch.where(clusters.unsqueeze(1) == torch.arange(count, device=clusters.device), weights.unsqueeze(1), 0.0)


def _seeds(cells: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Cells (count,C) that are far from each other, drawn as k-means++ does (Arthur and Vassilvitskii, 2007)."""
    squares = cells.square().sum(dim=1)
    draws = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    apart = torch.ones_like(weights)
    chosen: list[Tensor] = []
    for draw in draws:
        chances = (weights * apart).double().cumsum(dim=0)
        index = torch.searchsorted(chances, draw * chances[-1:]).clamp_max(len(cells) - 1)  # (1,): no device is asked
        chosen.append(cells.index_select(0, index)[0])
        distance = (squares - 2.0 * (cells @ chosen[-1]) + squares.index_select(0, index)).clamp_min(0.0)
        apart = torch.minimum(apart, distance) if len(chosen) > 1 else distance
    return torch.stack(chosen)


def _nearest(cells: Tensor, centres: Tensor) -> Tensor:
    """The nearest (n,) of centres (P,C) to each cell (n,C)."""
    return (cells @ centres.T - 0.5 * centres.square().sum(dim=1)).argmax(dim=1)
