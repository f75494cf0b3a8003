"""The FWB network: a backbone at stride 8, and a head that turns features and a similarity map into a mask.

Shape letters: K supports, N prototypes (experts), B queries, C channels, H W pixels, h w cells at stride 8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import conv3x3, partial_conv
from vossegcli.layers.normalise import NormalisedInput
from vossegcli.systems.fwb.backbones import build_backbone
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.feature_weighting import Levels, calibrate

STRIDE = 8


class FWB(NormalisedInput):
    """The network. Class features and their weights are computed from supports, nothing of a class is stored."""

    def __init__(self, config: FWBConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone, self.channels = build_backbone(config)
        self.join = conv3x3(self.channels + 1, config.head_channels)
        with torch.no_grad():  # the map starts with as much say as all the features together
            self.join.weight[:, self.channels :] *= self.channels**0.5
        self.classify = nn.Conv2d(config.head_channels, 2, 1)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B,3,H,W), RGB in [0, 1], to features (B,C,h,w), float32."""
        features: Tensor = self.backbone(self.normalise(images))
        return features.float()

    def head_base(self, features: Tensor) -> Tensor:
        """Convolve features (B,C,h,w) alone, without the similarity: (B,D,h,w), the same for all prototypes."""
        assert self.join.bias is not None
        return partial_conv(self.join, features, 0) + self.join.bias.view(1, -1, 1, 1)

    def head(self, base: Tensor, maps: Tensor, levels: Levels) -> Tensor:
        """Classify every cell for every prototype (paper sec. 3.3: the map joins the features).

        Args:
            base: (B,D,h,w) from `head_base`.
            maps: (B,N,h,w) similarities.
            levels: what they are on the supports, (B,N) or (1,N) each.

        Returns:
            logits (B,N,2,h,w): background and class.
        """
        batch, count = maps.shape[:2]
        if self.config.calibrated:
            maps = calibrate(maps, levels)
        of_maps = partial_conv(self.join, maps.flatten(0, 1).unsqueeze(1), self.channels)  # (B*N,D,h,w)
        hidden = F.relu(of_maps.unflatten(0, (batch, count)) + base.unsqueeze(1))
        logits: Tensor = self.classify(hidden.flatten(0, 1))
        per_prototype: Tensor = logits.unflatten(0, (batch, count))
        return per_prototype.float()


def masks_at_cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Average masks (K,H,W) over the cells of features of size (h, w): (K,h,w) float32, so that no object vanishes."""
    return F.interpolate(masks.float().unsqueeze(1), size=size, mode="area")[:, 0]
