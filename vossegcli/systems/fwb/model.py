"""The FWB network: a backbone at stride 8, and a head that turns features and similarity maps into a mask.

Shape letters: N experts, M maps, B queries, C channels, D channels of the context, H W pixels, h w cells at stride 8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import conv3x3, partial_conv
from vossegcli.layers.normalise import NormalisedInput
from vossegcli.systems.fwb.backbones import Encoded, build_backbone, normalisation_of
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.presence import Presence, statistics_count
from vossegcli.systems.fwb.prototypes import maps_count
from vossegcli.systems.fwb.refinement import Refinement

PRIOR = 8.0  # log-odds for a unit of the last map, at the start


class FWB(NormalisedInput):
    """The network. Class features and their weights are computed from supports, nothing of a class is stored."""

    def __init__(self, config: FWBConfig) -> None:
        super().__init__(*normalisation_of(config))
        self.config = config
        self.backbone = build_backbone(config)
        self.channels, self.context, fine = self.backbone.widths
        self.multiple, self.groups = self.backbone.multiple, self.backbone.groups
        maps = maps_count(config.counts[0], self.groups)
        self.join = conv3x3(self.context + maps, config.head_channels)
        with torch.no_grad():  # the maps start with as much say as all the features together
            self.join.weight[:, self.context :] *= self.context**0.5
        self.classify = nn.Conv2d(config.head_channels, 2, 1)
        self.prior = None
        if maps > 1:  # starts as the nearest prototype, which needs no training
            self.prior = nn.Parameter(torch.tensor(PRIOR))
            nn.init.zeros_(self.classify.weight)
            assert self.classify.bias is not None
            nn.init.zeros_(self.classify.bias)
        self.refinement = None
        if config.refine_channels:
            self.refinement = Refinement(self.context, maps, fine, config.refine_channels)
        self.presence = Presence(statistics_count(maps, len(self.groups)))

    def encode(self, images: Tensor) -> Encoded:
        """Encode images (B,3,H,W), RGB in [0, 1], sides multiples of `multiple`; all float32."""
        encoded: Encoded = self.backbone(self.normalise(images))
        return Encoded(*(part.float() for part in encoded))

    def head_base(self, context: Tensor) -> Tensor:
        """Compute the head's share of the context (B,D,h,w), without the maps: (B,E,h,w), the same for all experts."""
        assert self.join.bias is not None
        return partial_conv(self.join, context, 0) + self.join.bias.view(1, -1, 1, 1)

    def head(self, base: Tensor, maps: Tensor) -> Tensor:
        """Classify every cell for every expert (paper sec. 3.3: the map joins the features).

        Args:
            base: (B,E,h,w) from `head_base`.
            maps: (B,N,M,h,w) from `class_maps`.

        Returns:
            logits (B,N,2,h,w): background and class.
        """
        count = maps.shape[:2]
        of_maps = partial_conv(self.join, maps.flatten(0, 1), self.context)  # (B*N,E,h,w)
        hidden = F.relu(of_maps.unflatten(0, count) + base.unsqueeze(1))
        logits: Tensor = self.classify(hidden.flatten(0, 1)).unflatten(0, count).float()
        if self.prior is not None:
            odds = self.prior * maps[:, :, -1:]  # (B,N,1,h,w)
            logits = logits + torch.cat([-0.5 * odds, 0.5 * odds], dim=2)
        return logits

    def trust_prototypes(
        self, odds: Tensor, maps: Tensor, supports: int | Tensor, nearer: Tensor | None = None
    ) -> Tensor:
        """Add the margin between the nearest prototypes, the last of maps (B,M,h,w), to log-odds (B,h,w).

        Args:
            odds: of the class.
            maps: as for the head.
            supports: number of supports that the prototypes stand on, or (B,1,1).
            nearer: (B,h,w) margin between the nearest cells of the supports, which counts as much.
        """
        margin, more = self.config.margin, self.config.margin_per_support
        if not (margin or more):
            return odds
        margins = maps[:, -1] if nearer is None else maps[:, -1] + nearer
        return odds + (margin + more * (supports - 1)) * margins

    def confidence(self, statistics: Tensor, missing: Tensor | None) -> Tensor:
        """Return the log-odds (B,) that a class is there.

        Args:
            statistics: (B,S) from `presence_statistics`.
            missing: (B,) from `missing_parts`; None = it does not count.
        """
        odds: Tensor = self.config.presence * self.presence(statistics)[:, 0]
        return odds if missing is None else odds + self.config.coverage * (self.config.coverage_level - missing)

    def refine(self, odds: Tensor, maps: Tensor, encoded: Encoded) -> Tensor:
        """Refine log-odds (B,h,w) of the class, found from maps (B,M,h,w), to stride 4, where the network can."""
        if self.refinement is None:
            return odds
        refined: Tensor = self.refinement(odds, maps, encoded.context, encoded.fine)
        return refined


def masks_at_cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Average masks (K,H,W) over the cells of features of size (h, w): (K,h,w) float32, so that no object vanishes."""
    return F.interpolate(masks.float().unsqueeze(1), size=size, mode="area")[:, 0]
