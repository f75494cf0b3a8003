"""Losses that two systems or more share. Shape letters: N items, L classes, H W pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def dice_loss(probs: Tensor, truth: Tensor) -> Tensor:
    """1 - Dice of each of the maps (...,H,W), smoothed by 1: (...)."""
    overlap = (probs * truth).sum(dim=(-2, -1))
    return 1.0 - (2.0 * overlap + 1.0) / (probs.sum(dim=(-2, -1)) + truth.sum(dim=(-2, -1)) + 1.0)


def focal_class_loss(logits: Tensor, labels: Tensor, positives: float) -> Tensor:
    """Focal loss (Lin et al. 2017; alpha 0.25, gamma 2) of classes that exclude nothing, as a sum over all items.

    Args:
        logits: (N,L).
        labels: (N,) int64, -1 = none of the classes.
        positives: by which the sum is divided, at least 1.
    """
    from torchvision.ops import sigmoid_focal_loss  # slow to import, and the Dice loss alone needs none of it

    truth = F.one_hot(labels + 1, logits.shape[1] + 1)[:, 1:].to(logits.dtype)
    loss: Tensor = sigmoid_focal_loss(logits, truth, alpha=0.25, gamma=2.0, reduction="sum")
    return loss / max(positives, 1.0)
