"""Encoders of the compact configuration: EfficientNet-Lite under the names of `encoders`.

Shape letters: B batch, K classes (background is class 0), C channels, H W pixels, h w cells at stride 16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.efficientnet_lite import MEAN, STD, EfficientNetLite, same_padding
from vossegcli.ops.pooling import halve
from vossegcli.systems.afb_urr.config import LiteTrunk
from vossegcli.systems.afb_urr.encoders import Pyramid

QUERY_STAGES = 4
MEMORY_STAGES = 3
#: ImageNet's features have a standard deviation of about 8; layers that start fresh learn from smaller ones.
FEATURE_SCALE = 1 / 8


class LiteQueryEncoder(nn.Module):
    """Encodes a frame alone.

    Args:
        config: the backbone.
        context: add what stride 32 knows to the features at stride 16.
    """

    def __init__(self, config: LiteTrunk, *, context: bool) -> None:
        super().__init__()
        self.backbone = EfficientNetLite(config.variant, stages=QUERY_STAGES + context)
        self.widths = self.backbone.widths[:QUERY_STAGES]
        self.context: nn.Conv2d | None = None
        if context:
            self.context = nn.Conv2d(self.backbone.widths[-1], self.widths[-1], 1, bias=False)
            nn.init.zeros_(self.context.weight)  # starts as the encoder without context

    def forward(self, frames: Tensor) -> Pyramid:
        """Encode RGB frames (B,3,H,W) in [0, 1]; H and W are multiples of 16."""
        r1, r2, r3, r4, *deeper = (features * FEATURE_SCALE for features in self.backbone((frames - MEAN) / STD))
        if self.context is None:
            return Pyramid(r1, r2, r3, r4)
        r5 = deeper[0]  # (B,C5,H/32,W/32), rounded up
        known = F.interpolate(self.context(r5), size=r4.shape[2:], mode="bilinear", align_corners=False)
        return Pyramid(r1, r2, r3, r4 + known, r5)


class LiteMemoryEncoder(nn.Module):
    """Encodes a frame together with the mask of one class and its complement (paper sec. 3.1), at half the size.

    Three stages then end at stride 16. What is lost of the masks' outlines is kept by `AFBURR.mask_cells`.
    """

    def __init__(self, config: LiteTrunk) -> None:
        super().__init__()
        self.backbone = EfficientNetLite(config.variant, stages=MEMORY_STAGES)
        self.widths = self.backbone.widths
        stem = self.backbone.stem.conv
        self.stem_masks = nn.Conv2d(2, stem.out_channels, stem.kernel_size[0], stride=2, bias=False)
        nn.init.zeros_(self.stem_masks.weight)  # the pre-trained stem sees the frame alone at first

    def forward(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Encode each class of each frame.

        The RGB part of the stem does not depend on the class and is computed once a frame.

        Args:
            frames: (B,3,H,W) RGB in [0, 1].
            masks: (B,K,H,W) soft or hard masks in [0, 1], background as class 0.

        Returns:
            (B*K,C,h,w) features at stride 16.
        """
        batch, classes = masks.shape[:2]
        small = (halve(frames) - MEAN) / STD
        rgb = self.backbone.stem.convolve(small)  # (B,C,H/4,W/4)
        mask = halve(masks.flatten(0, 1).unsqueeze(1))  # (B*K,1,H/2,W/2)
        mask_and_others = torch.cat([mask, (1.0 - mask).clamp(0.0, 1.0)], dim=1)  # (B*K,2,H/2,W/2)
        padded = F.pad(mask_and_others, same_padding(mask, self.stem_masks.kernel_size[0], 2))
        stem = self.stem_masks(padded).unflatten(0, (batch, classes)) + rgb.unsqueeze(1)
        features: list[Tensor] = self.backbone.after_stem(stem.flatten(0, 1))
        return features[-1] * FEATURE_SCALE

    def fold(self) -> None:
        """Fold the stem's batch norm into its convolutions, in place (for inference)."""
        norm = self.backbone.stem.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.stem_masks.weight.mul_(scale.view(-1, 1, 1, 1))  # the stem is a sum under one norm
        self.backbone.stem.fold()
