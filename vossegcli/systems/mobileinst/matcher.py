"""Assignment of queries to instances.

Shape letters: N queries, n instances, L classes, P pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

MASK_SHARE, CLASS_SHARE = 0.8, 0.2
EPSILON = 1e-4


class Match(NamedTuple):
    """Pairs of a query (m,) and an instance (m,), int64; m is the smaller of their numbers."""

    queries: Tensor
    instances: Tensor


@torch.no_grad()
def match(masks: Tensor, probs: Tensor, truth: Tensor, labels: Tensor, closeness: Tensor | None = None) -> Match:
    """Find the pairs with the largest sum of `dice^0.8 * prob^0.2` (Hungarian method; SparseInst, MobileInst).

    Instances beyond the number of queries stay without one.

    An addition: a third factor where queries begin at points. Several of them see the same instance as well; which one
    is responsible must follow from something that they can know, or they cannot learn to leave it to the others.

    Args:
        masks: (N,P) probabilities.
        probs: (N,L) of the classes.
        truth: (n,P) in [0, 1].
        labels: (n,) int64.
        closeness: (N,n) in [0, 1], of the points where queries begin to the instances' centres; None = all are close.
    """
    quality = dice_matrix(masks.float(), truth.float()) ** MASK_SHARE * probs.float()[:, labels] ** CLASS_SHARE
    if closeness is not None:
        quality = quality * closeness
    rows, columns = linear_sum_assignment(quality.nan_to_num().cpu().numpy(), maximize=True)
    return Match(torch.as_tensor(rows, device=masks.device), torch.as_tensor(columns, device=masks.device))


def closeness_of(points: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """Compute how close points (N,2) are to centres (n,2): (N,n), a Gaussian with `sigma` as its standard deviation."""
    return torch.exp(-0.5 * (torch.cdist(points, centres) / sigma).square())


def dice_matrix(masks: Tensor, truth: Tensor) -> Tensor:
    """Dice `2 sum(p t) / (sum(p^2) + sum(t^2))` of every mask (N,P) with every truth (n,P): (N,n)."""
    squares = masks.square().sum(dim=1, keepdim=True) + truth.square().sum(dim=1)
    return 2.0 * masks @ truth.t() / (squares + EPSILON)
