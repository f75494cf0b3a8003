"""Losses of B2Inst.

Shape letters: B images, N locations or instances, L classes, H W pixels, R side of a mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from vossegcli.layers.losses import dice_loss

EPSILON = 1e-6
NO_BOUNDARY = -20.0  # logit
#: Label of a cell that the semantic loss leaves out.
UNKNOWN = -100


def box_loss(predicted: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Mean GIoU loss of boxes (N,4), weighed by the centerness (N,) of their locations."""
    losses: Tensor = generalized_box_iou_loss(predicted, truth, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp_min(EPSILON)


def mask_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy and 1 - Dice of masks (N,R,R) in their boxes, averaged with weights (N,).

    BlendMask has the cross entropy alone; Dice makes up for the few pixels of small instances.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=(1, 2))
    losses = entropy + dice_loss(logits.sigmoid(), truth)
    return (losses * weights).sum() / weights.sum().clamp_min(EPSILON)


def boundary_losses(logits: Tensor, truth: Tensor, distance: Tensor, known: Tensor | None = None) -> dict[str, Tensor]:
    """Cross entropy, Dice and a boundary term of the holistic boundary map (paper sec. 3.2).

    The paper does not give its third term. Here it is the distance-map loss of Kervadec et al. (MIDL 2019): the mean
    distance to the true boundary of what is predicted, so that a boundary drawn far from any is dear and one that is
    a pixel off is cheap. Cross entropy is balanced between boundary and the rest.

    Args:
        logits: (B,h,w).
        truth: (B,h,w) of 0 and 1.
        distance: (B,h,w) to the nearest boundary, in [0, 1].
        known: (B,h,w) bool, cells whose annotation counts; None = all.
    """
    if known is not None:
        logits = logits.masked_fill(~known, NO_BOUNDARY)
    probs = logits.sigmoid()
    share = truth.mean().clamp(EPSILON, 0.5)
    weights = torch.where(truth > 0, 0.5 / share, 0.5 / (1.0 - share))
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight=weights)
    astray = (probs * distance).sum() / probs.sum().clamp_min(1.0)
    return {"boundary_entropy": entropy, "boundary_dice": dice_loss(probs, truth).mean(), "boundary_distance": astray}


def semantic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of background and classes (B,L+1,h,w) with labels (B,h,w), which may be `UNKNOWN`.

    BlendMask's auxiliary loss.
    """
    count = (labels != UNKNOWN).sum().clamp_min(1)
    return F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum") / count
