"""Semantic-enhanced mask decoder: local and global features to the mask features at stride 8.

Shape letters: B images, C channels, K length of a kernel, h w cells at stride 8.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops.misc import Conv2dNormActivation

from vossegcli.ops.cells import cell_centres
from vossegcli.systems.mobileinst.config import MobileInstConfig

FEATURE_STRIDE = 8  # of the mask features
MASK_STRIDE = 4  # of the masks that kernels make of them
OFFSET_SCALE = 64.0  # pixels: unit of the offsets to the centres of instances


class DenseOutput(NamedTuple):
    """Dense output: the predictions of every cell about itself.

    Attributes:
        logits: (B,2,h,w) foreground, boundary.
        offsets: (B,2,h,w) offset (x, y) to the centre of its instance, in units of `OFFSET_SCALE` pixels.
    """

    logits: Tensor
    offsets: Tensor


class SemanticEnhancer(nn.Module):
    """`out(l * g + g)` of projected local and global features (paper sec. 3.3)."""

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.local = Conv2dNormActivation(channels, channels, 1)
        self.context = Conv2dNormActivation(context, channels, 1)
        self.out = Conv2dNormActivation(channels, channels, 1)

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Map (B,C,h,w) and (B,C',h/n,w/n) to (B,C,h,w)."""
        g = F.interpolate(self.context(context), size=local.shape[2:], mode="bilinear", align_corners=False)
        y: Tensor = self.out(torch.addcmul(g, self.local(local), g))
        return y


class MaskDecoder(nn.Module):
    """Down and up and down the pyramid, with global features at both ends.

    Every cell also predicts the offset to its instance's centre. Where the configuration gives a `query_stride`, the
    encoding of that centre joins its features (see `reference_points`); only queries need them together.
    """

    def __init__(self, config: MobileInstConfig, context: int) -> None:
        super().__init__()
        channels = config.channels
        self.enhance_first = SemanticEnhancer(context, channels)
        self.down = nn.ModuleList(Conv2dNormActivation(channels, channels, 3) for _ in range(3))
        self.up = nn.ModuleList(Conv2dNormActivation(channels, channels, 3) for _ in range(3))
        self.enhance_last = nn.ModuleList(SemanticEnhancer(context, channels) for _ in range(3))
        self.dense = nn.Conv2d(channels, 4, 1)
        self.point_projection = nn.Conv2d(channels, channels, 1) if config.query_stride else None
        self.branch = nn.Conv2d(channels, config.kernel, 1)

    def forward(self, local: list[Tensor], context: Tensor) -> tuple[Tensor, DenseOutput]:
        """Map X3, X4, X5 and X6 to the mask features X_mask (B,C,h,w) and what its cells say of themselves."""
        x3, x4, x5 = local
        x5 = self.enhance_first(x5, context)
        x4 = x4 + _resized(x5, x4)
        x3 = x3 + _resized(x4, x3)
        x3, x4, x5 = (conv(x) for conv, x in zip(self.down, (x3, x4, x5), strict=True))
        x4 = x4 + F.max_pool2d(x3, 2)
        x5 = x5 + F.max_pool2d(x4, 2)
        x3, x4, x5 = (conv(x) for conv, x in zip(self.up, (x3, x4, x5), strict=True))
        x3, x4, x5 = (enhance(x, context) for enhance, x in zip(self.enhance_last, (x3, x4, x5), strict=True))
        features = x3 + _resized(x4 + _resized(x5, x4), x3)
        said = self.dense(features).float()
        return features, DenseOutput(said[:, :2], said[:, 2:])

    def with_centres(self, features: Tensor, centres: Tensor | None) -> Tensor:
        """Join the encodings (B,h,w,C) of the centres that cells point to, if there are any, to features (B,C,h,w)."""
        if self.point_projection is None or centres is None:
            return features
        joined: Tensor = features + self.point_projection(centres.permute(0, 3, 1, 2))
        return joined


def predicted_centres(dense: DenseOutput, origin: Tensor) -> Tensor:
    """Centres (B,h,w,2) that the cells of images at an origin (2,) point to; no gradient flows back."""
    offsets = dense.offsets.detach()
    points = cell_centres(offsets.shape[2], offsets.shape[3], FEATURE_STRIDE, offsets.device)
    return points + origin + OFFSET_SCALE * offsets.permute(0, 2, 3, 1)


def mask_logits(kernels: Tensor, embedded: Tensor) -> Tensor:
    """`K . X_mask` at stride 4: kernels (B,N,K) and embedded mask features (B,K,h,w) to (B,N,2h,2w)."""
    logits = torch.einsum("bnk,bkhw->bnhw", kernels, embedded)
    return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
