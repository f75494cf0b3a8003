"""Losses of FWB."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

VOID = 255


def mask_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross entropy of background and class, averaged over the pixels that are not void (paper sec. 3.3).

    Args:
        logits: (B,2,H,W).
        masks: (B,H,W) int64 of 0, 1 and 255 = void.
    """
    return F.cross_entropy(logits, masks, ignore_index=VOID)
