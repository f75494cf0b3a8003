"""Feature boosting: an ensemble of class features that are fitted to the supports at test time (paper sec. 3.4).

The paper takes N = 10 steps of Adam and has N experts; the authors' later code counts the state before the first step
too (11 experts), adds up hard masks and, in its evaluation, weighs experts by their IoU with the query's own truth.
Here: N experts, soft masks, and weights that come from the supports alone.

Shape letters: K supports, N experts, V vectors, C channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam

STEPS = 10
LEARNING_RATE = 1e-2


class Experts(NamedTuple):
    """Class features and how far to trust each.

    Attributes:
        features: (N,C), or (N,V,C) where several vectors stand for a class.
        weights: (N,) IoU of what each makes of the supports with their masks, in [0, 1].
    """

    features: Tensor
    weights: Tensor


def boost(
    initial: Tensor,
    segment: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor], Tensor],
    quality: Callable[[Tensor], Tensor],
    *,
    steps: int = STEPS,
    rate: float = LEARNING_RATE,
) -> Experts:
    """Follow the gradient of the supports' own loss and keep every class feature on the way.

    `f^{n+1} = f^n - nu dL(m_hat^n, m) / df^n` (paper eq. 9) and `p^n = IoU(m_hat^n, m)` (eq. 11).

    Args:
        initial: (C,) mean class feature of the supports, or (V,C) vectors.
        segment: from such a class feature to the supports' logits (K,2,H,W).
        loss: from those logits to a scalar, summed over the supports.
        quality: from the log-odds (K,H,W) of the class to the supports' IoU.
        steps: N.
        rate: nu.
    """
    feature = initial.detach().clone().requires_grad_()
    first_moment, second_moment, steps_so_far = torch.zeros_like(feature), torch.zeros_like(feature), torch.zeros(())
    features, weights = [], []
    for step in range(steps):
        with torch.enable_grad():
            logits = segment(feature)
            features.append(feature.detach().clone())
            weights.append(quality((logits[:, 1] - logits[:, 0]).detach()))
            gradient = torch.autograd.grad(loss(logits), feature)[0] if step + 1 < steps else None
        if gradient is not None:
            with torch.no_grad():  # the class `Adam` would load torch's compiler, which takes as long as torch
                adam(
                    [feature], [gradient], [first_moment], [second_moment], [], [steps_so_far],
                    lr=rate, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False,
                )  # fmt: skip
    return Experts(torch.stack(features), torch.stack(weights))


def mean_iou(predicted: Tensor, masks: Tensor) -> Tensor:
    """Mean over the supports of the IoU of masks (K,H,W) bool; an empty union counts as 0."""
    intersection = (predicted & masks).sum(dim=(1, 2)).float()
    union = (predicted | masks).sum(dim=(1, 2)).float()
    return (intersection / union.clamp_min(1.0)).mean()


def join_experts(probabilities: Tensor, weights: Tensor) -> Tensor:
    """Mean of the experts' soft masks (B,N,H,W), weighed by their trust (N,): (B,H,W) (paper eq. 12, normalised).

    Where no expert has found anything on the supports, all count alike.
    """
    trust = torch.where(weights.sum() > 0, weights, torch.ones_like(weights))
    return torch.einsum("bnhw,n->bhw", probabilities, trust / trust.sum())
