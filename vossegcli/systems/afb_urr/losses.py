"""Losses of AFB-URR and of its dense correspondence training.

Shape letters: B clips, K classes (background is class 0), H W pixels, Q M cells, C key channels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.systems.afb_urr.decoder import uncertainty

MATCH_RADIUS = 0.75
MATCH_SIGMA = 0.5


def hard_pixel_cross_entropy(logits: Tensor, labels: Tensor, share: float, missed: float = 1.0) -> Tensor:
    """Cross entropy averaged over the hardest pixels of each frame.

    Args:
        logits: (B,K,H,W) log odds of each class.
        labels: (B,H,W) int64 classes.
        share: part of the pixels that counts, in (0, 1]; 1 = plain cross entropy (paper).
        missed: weight of the pixels of objects, those of the background have 1; 1 = equal (paper).
    """
    losses = F.cross_entropy(logits, labels, reduction="none")
    losses = torch.where(labels > 0, missed * losses, losses).flatten(1)  # (B,HW)
    if share < 1.0:
        losses = losses.topk(max(1, int(share * losses.shape[1])), dim=1).values
    return losses.mean()


def confidence_loss(probs: Tensor) -> Tensor:
    """Size of the uncertainty map, `||U||_2 / sqrt(HW)`, averaged over frames (paper eq. 13).

    Args:
        probs: (B,K,H,W) probabilities over classes.
    """
    unsure = uncertainty(probs).flatten(1)  # (B,HW)
    return (unsure.square().mean(dim=1) + 1e-12).sqrt().mean()


def mask_reading_loss(read_masks: Tensor, true_masks: Tensor) -> Tensor:
    """Cross entropy between masks read by attention and the true masks (addition).

    Args:
        read_masks: (B,K,Q,n) shares of each class in the parts of each cell, as read from the memory.
        true_masks: (B,K,Q,n) the true shares; they add up to 1 over K.
    """
    total = read_masks.sum(dim=1, keepdim=True).clamp_min(1e-4)
    log_shares = torch.log((read_masks / total).clamp_min(1e-4))
    return -(true_masks * log_shares).sum(dim=1).mean()


def correspondence_targets(
    places: Tensor, textures: Tensor, other_places: Tensor, other_textures: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the cell of another frame that shows the same as each cell, from the known motion (addition).

    Args:
        places: (B,Q,2) texture coordinates of the frame's cells, in cells.
        textures: (B,Q) texture index of those cells.
        other_places: (B,M,2) of the other frame.
        other_textures: (B,M).

    Returns:
        Target weights (B,Q,M), rows sum to 1, and (B,Q) bool: whether the cell is visible in the other frame.
    """
    distance = torch.cdist(places, other_places)  # (B,Q,M)
    distance = distance.masked_fill(textures.unsqueeze(2) != other_textures.unsqueeze(1), 1e4)
    visible = distance.amin(dim=2) < MATCH_RADIUS
    return torch.softmax(-distance.square() / (2.0 * MATCH_SIGMA**2), dim=2), visible


def correspondence_loss(keys: Tensor, other_keys: Tensor, targets: Tensor, visible: Tensor) -> Tensor:
    """Cross entropy between the matcher's own attention and the true correspondence (addition).

    The cells of the other clips of the batch count as wrong answers too: a video's memory holds far more entries
    than one small training frame, and attention must be sharp enough for it.

    Args:
        keys: (B,Q,C) of the frame.
        other_keys: (B,M,C) of the other frame.
        targets: (B,Q,M).
        visible: (B,Q) cells that count.
    """
    clips, cells, channels = other_keys.shape
    logits = keys @ other_keys.reshape(clips * cells, channels).T / math.sqrt(channels)  # (B,Q,B*M)
    own = torch.stack([logits[i, :, i * cells : (i + 1) * cells] for i in range(clips)])  # (B,Q,M)
    losses = logits.logsumexp(dim=2) - (targets * own).sum(dim=2)
    return (losses * visible).sum() / visible.sum().clamp_min(1)
