"""Basis head: features of the whole image to bases at stride 4, and the holistic boundary map as one basis more.

Shape letters: B images, C channels, K bases, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.systems.b2inst.config import B2InstConfig

STRIDE = 4
LEVELS = 3  # P3, P4 and P5


class Bases(NamedTuple):
    """The bases of a batch.

    Attributes:
        values: (B,K,H/4,W/4); the boundary's logits are the last one, where there is a boundary basis.
        boundary: (B,H/4,W/4) its logits, or None.
        semantic: (B,L+1,H/8,W/8) logits of background and classes, for training; None otherwise.
    """

    values: Tensor
    boundary: Tensor | None
    semantic: Tensor | None


class BasisHead(nn.Module):
    """BlendMask's proto-net, and B2Inst's boundary basis from the same tower (paper sec. 3.2).

    Args:
        config: of the network.
        fine_channels: of C2, which joins at stride 4 where the configuration has `fine_bases` (an addition).
    """

    def __init__(self, config: B2InstConfig, fine_channels: int) -> None:
        super().__init__()
        width = config.basis_channels
        self.refine = nn.ModuleList(_conv_norm_relu(config.channels, width) for _ in range(LEVELS))
        layers: list[nn.Module] = [_conv_norm_relu(width, width) for _ in range(config.basis_convs)]
        layers += [nn.Upsample(scale_factor=2, mode="nearest"), _conv_norm_relu(width, width)]
        self.tower = nn.Sequential(*layers, nn.Conv2d(width, config.bases, 1))
        self.fine = _conv_norm_relu(fine_channels, width) if config.fine_bases else None
        self.boundary = nn.Conv2d(width, 1, 1) if config.boundary_basis else None
        self.seg_head = nn.Sequential(
            _conv_norm_relu(config.channels, width), _conv_norm_relu(width, width),
            nn.Conv2d(width, config.classes + 1, 1),
        )  # fmt: skip

    def forward(self, finest: Tensor, levels: Sequence[Tensor]) -> Bases:
        """Make bases of C2 (B,C,H/4,W/4) and P3, P4, P5, ... (B,C,h,w)."""
        fine = levels[0]
        joined = self.refine[0](fine)
        for refine, level in zip(list(self.refine)[1:], levels[1:LEVELS], strict=True):
            joined = joined + F.interpolate(refine(level), size=fine.shape[2:], mode="bilinear", align_corners=False)
        enlarged = self.tower[:-2](joined)
        hidden = self.tower[-2](enlarged if self.fine is None else enlarged + self.fine(finest))
        values = self.tower[-1](hidden).float()
        boundary = None if self.boundary is None else self.boundary(hidden).float()
        if boundary is not None:
            values = torch.cat([values, boundary], dim=1)
        semantic = self.seg_head(fine).float() if self.training else None
        return Bases(values, None if boundary is None else boundary[:, 0], semantic)


def _conv_norm_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )  # fmt: skip
