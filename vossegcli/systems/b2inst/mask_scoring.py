"""Boundary-aware mask scoring: how good a mask and its boundary are, for the ranking of instances (paper sec. 3.3).

Shape letters: N instances, C channels, R side of the mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign

from vossegcli.ops.boundaries import soft_boundary
from vossegcli.systems.b2inst.config import B2InstConfig

SIDE = 14
LEVELS = ("0", "1", "2")  # P3, P4 and P5
EPSILON = 1.0


class MaskScoring(nn.Module):
    """Four convolutions over mask, boundary and features; two branches predict S_IoU and S_boundary."""

    def __init__(self, config: B2InstConfig) -> None:
        super().__init__()
        width, hidden = config.scoring_channels, config.scoring_hidden
        self.pool = MultiScaleRoIAlign(list(LEVELS), SIDE, sampling_ratio=2)
        layers: list[nn.Module] = []
        for index in range(4):
            inputs = config.channels + 2 if index == 0 else width
            layers += [nn.Conv2d(inputs, width, 3, stride=2 if index == 3 else 1, padding=1), nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.iou, self.boundary = (
            nn.Sequential(nn.Linear(width * (SIDE // 2) ** 2, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 1))
            for _ in range(2)
        )

    def forward(
        self, levels: list[Tensor], boxes: list[Tensor], masks: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Score masks.

        Args:
            levels: P3, P4, P5, ... (B,C,h,w).
            boxes: (N_b,4) of each image, in pixels.
            masks: (N,R,R) probabilities, N over all images.
            size: (H,W) of the images.

        Returns:
            S_IoU and S_boundary, (N,) each, as logits.
        """
        pyramid = {name: level.float() for name, level in zip(LEVELS, levels, strict=False)}
        features = self.pool(pyramid, boxes, [size] * len(boxes))
        boundaries = soft_boundary(masks)
        seen = F.adaptive_max_pool2d(torch.stack([masks, boundaries], dim=1), SIDE)
        hidden = self.convs(torch.cat([features, seen], dim=1)).flatten(1)
        return self.iou(hidden)[:, 0].float(), self.boundary(hidden)[:, 0].float()


def scoring_loss(iou: Tensor, boundary: Tensor, true_iou: Tensor, true_boundary: Tensor) -> Tensor:
    """Mean over N masks of the cross entropies of both scores (logits) with what is true, all (N,).

    The paper does not say how it regresses them. The squared error of a sigmoid leaves no gradient once a branch has
    gone to zero, which the small values of S_boundary invite: seen in training, and it ruins the product of the scores.
    """
    terms = [
        F.binary_cross_entropy_with_logits(said, true, reduction="sum")
        for said, true in ((iou, true_iou), (boundary, true_boundary))
    ]
    return torch.stack(terms).sum() / max(len(iou), 1)


def mask_iou(predicted: Tensor, truth: Tensor) -> Tensor:
    """IoU of masks (N,R,R) of 0 and 1: (N,)."""
    overlap = (predicted * truth).sum(dim=(1, 2))
    return overlap / (predicted.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) - overlap).clamp_min(EPSILON)


def boundary_dice(predicted: Tensor, truth: Tensor) -> Tensor:
    """`(2 sum B_p B_g + e) / (sum B_p^2 + sum B_g^2 + e)` of boundary maps (N,R,R): (N,) (paper, S_boundary)."""
    overlap = 2.0 * (predicted * truth).sum(dim=(1, 2)) + EPSILON
    return overlap / (predicted.square().sum(dim=(1, 2)) + truth.square().sum(dim=(1, 2)) + EPSILON)


def final_score(classes: Tensor, iou: Tensor, boundary: Tensor) -> Tensor:
    """`S_class sqrt(S_IoU S_boundary)` (paper, S_mask)."""
    return classes * (iou * boundary).sqrt()
