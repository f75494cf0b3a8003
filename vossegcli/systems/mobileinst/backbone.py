"""Backbones: images to local features at strides 8, 16, 32 and global ones at stride 64.

Tokens of four strides come from TopFormer's token pyramid (Zhang et al., CVPR 2022) or from EfficientNet-Lite, which
starts from ImageNet weights; a transformer over the pooled tokens follows.

Shape letters: B images, C channels, H W pixels, h w cells.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.efficientnet_lite import EfficientNetLite
from vossegcli.systems.mobileinst.config import STRIDES, MobileInstConfig
from vossegcli.systems.mobileinst.transformer import DROP, Injection, TransformerBlock, conv_norm, conv_relu6

STRIDE = 64
#: Names of the weights that start from ImageNet's.
BACKBONE = ("backbone.trunk.",)
#: Kernel sizes and expansions of the inverted residuals at each stride, from the first on; the last one repeats.
_KERNELS = ((3,), (5,), (3,), (5, 5, 3))
_EXPANSIONS = ((4, 3), (3,), (3,), (6,))


class InvertedResidual(nn.Module):
    """1x1 convolution to a larger width, depthwise one, 1x1 back (MobileNetV2)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers = [] if expansion == 1 else [conv_relu6(in_channels, hidden, 1)]
        layers += [
            conv_relu6(hidden, hidden, kernel, stride, groups=hidden),
            conv_norm(hidden, out_channels, 1),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to (B,C',h/stride,w/stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class Backbone(nn.Module, ABC):
    """Images to X3, X4, X5 (local, with the global features injected) and X6 (global); the tokens are a subclass's."""

    def __init__(self, config: MobileInstConfig) -> None:
        super().__init__()
        self.widths = config.widths
        self.context_channels = sum(config.widths)
        self.transformer = nn.Sequential(
            *(
                TransformerBlock(self.context_channels, config, DROP * k / max(config.blocks - 1, 1))
                for k in range(config.blocks)
            )
        )
        self.injections = nn.ModuleList(Injection(width, config.channels) for width in config.widths[1:])

    @abstractmethod
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B,3,H,W) to tokens (B,C,H/s,W/s) at strides 4, 8, 16 and 32."""

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Map normalised images (B,3,H,W), sides multiples of 64.

        Returns:
            X3, X4, X5, (B,C,H/8,W/8) and so on, and X6, (B,sum of the widths,H/64,W/64).
        """
        tokens = self.tokens(images)
        pooled = [F.avg_pool2d(x, STRIDE // stride) for x, stride in zip(tokens, STRIDES, strict=True)]
        context: Tensor = self.transformer(torch.cat(pooled, dim=1))
        own = context.split(self.widths, dim=1)  # of each level
        local = [inject(x, part) for inject, x, part in zip(self.injections, tokens[1:], own[1:], strict=True)]
        return local, context


class TokenPyramid(Backbone):
    """The paper's: a stem and inverted residuals of a width a stride."""

    def __init__(self, config: MobileInstConfig) -> None:
        super().__init__(config)
        self.stem = conv_relu6(3, config.stem, 3, 2)
        first = InvertedResidual(config.stem, config.stem, 3, 1, 1)
        widths = (config.stem, *config.widths)
        self.stages = nn.ModuleList()
        for level, (before, width) in enumerate(itertools.pairwise(widths)):
            blocks: list[nn.Module] = [first] if level == 0 else []
            for index in range(config.depths[level]):
                kernels, expansions = _KERNELS[level], _EXPANSIONS[level]
                blocks.append(
                    InvertedResidual(
                        before if index == 0 else width, width, kernels[min(index, len(kernels) - 1)],
                        2 if index == 0 else 1, expansions[min(index, len(expansions) - 1)],
                    )
                )  # fmt: skip
            self.stages.append(nn.Sequential(*blocks))

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B,3,H,W) to tokens (B,C,H/s,W/s) at strides 4, 8, 16 and 32."""
        x = self.stem(images)
        tokens = []
        for stage in self.stages:
            x = stage(x)
            tokens.append(x)
        return tokens


class EfficientNetTokens(Backbone):
    """EfficientNet-Lite's C2 to C5, brought to the pyramid's widths by a 1x1 convolution each."""

    def __init__(self, config: MobileInstConfig) -> None:
        super().__init__(config)
        self.trunk = EfficientNetLite("lite0", exact_start=True)
        self.laterals = nn.ModuleList(
            conv_norm(channels, width, 1) for channels, width in zip(self.trunk.widths[1:], config.widths, strict=True)
        )

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B,3,H,W) to tokens (B,C,H/s,W/s) at strides 4, 8, 16 and 32."""
        return [lateral(x) for lateral, x in zip(self.laterals, self.trunk(images)[1:], strict=True)]


def make_backbone(config: MobileInstConfig) -> Backbone:
    """Build the backbone of a configuration."""
    return TokenPyramid(config) if config.backbone == "token_pyramid" else EfficientNetTokens(config)
