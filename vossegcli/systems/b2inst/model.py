"""The B2Inst network: pyramid, box head, bases with the boundary's, blender, and mask scoring.

Shape letters: B images, K bases, N instances, H W pixels.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from vossegcli.layers.efficientnet_lite import NORMALISATION
from vossegcli.layers.normalise import IMAGENET_MEAN, IMAGENET_STD, NormalisedInput
from vossegcli.systems.b2inst.backbone import make_backbone
from vossegcli.systems.b2inst.basis_head import Bases, BasisHead
from vossegcli.systems.b2inst.box_head import BoxHead, LevelOutput
from vossegcli.systems.b2inst.config import B2InstConfig
from vossegcli.systems.b2inst.mask_scoring import MaskScoring

STRIDE = 32  # sides of images are multiples of it


class Encoded(NamedTuple):
    """Everything that is computed once an image.

    Attributes:
        pyramid: P3..P7, (B,C,h,w) each.
        levels: what the box head says at each.
        bases: of the whole image.
    """

    pyramid: list[Tensor]
    levels: list[LevelOutput]
    bases: Bases


class B2Inst(NormalisedInput):
    """The parts; how they play together is in `predict` and `train`."""

    def __init__(self, config: B2InstConfig) -> None:
        super().__init__(*((IMAGENET_MEAN, IMAGENET_STD) if config.backbone == "resnet" else NORMALISATION))
        self.config = config
        self.backbone = make_backbone(config)
        self.box_head = BoxHead(config)
        self.basis_head = BasisHead(config, self.backbone.fine_channels)
        self.scoring = MaskScoring(config) if config.scoring else None

    def forward(self, images: Tensor) -> Encoded:
        """Encode images (B,3,H,W), RGB in [0, 1], sides multiples of 32."""
        fine, levels = self.backbone(self.normalise(images))
        return Encoded(levels, self.box_head(levels), self.basis_head(fine, levels))

    def attention(self, encoded: Encoded, images: Tensor, locations: Tensor) -> Tensor:
        """The attention (N,K,A,A) of locations of images (N,), numbered over all levels."""
        found = encoded.bases.values.new_zeros(len(locations), *self.box_head.map_shape)
        first = 0
        for level in encoded.levels:
            count = level.tower.shape[2] * level.tower.shape[3]
            here = ((locations >= first) & (locations < first + count)).nonzero().flatten()
            values = self.box_head.attention(level.tower, images[here], locations[here] - first)
            found = found.index_copy(0, here, values)
            first += count
        return found
