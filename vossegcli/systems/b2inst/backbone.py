"""Backbone and feature pyramid: images to features at strides 4 to 128.

Shape letters: B images, C channels, H W pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from vossegcli.layers.efficientnet_lite import EfficientNetLite
from vossegcli.layers.resnet import fold_stage, initialise_residual, make_stage, stage_channels
from vossegcli.systems.b2inst.config import B2InstConfig

BLOCK: Final = "bottleneck"
STRIDES = (8, 16, 32, 64, 128)
#: Names of the weights that start from ImageNet's.
BACKBONE = ("backbone.conv1.", "backbone.bn1.", "backbone.layer", "backbone.trunk.")


class Pyramid(NamedTuple):
    """Features of a batch.

    Attributes:
        fine: C2, (B,C,H/4,W/4).
        levels: P3..P7, (B,C,H/s,W/s) each.
    """

    fine: Tensor
    levels: list[Tensor]


class ResNetPyramid(nn.Module):
    """ResNet's C3, C4 and C5 to P3..P7; P6 and P7 are made of P5."""

    def __init__(self, config: B2InstConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, config.stem, 7, stride=2, padding=3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(config.stem)
        widths = [config.stem, *(stage_channels(BLOCK, planes) for planes in config.planes)]
        stages = [
            make_stage(BLOCK, widths[i], config.planes[i], config.depths[i], 1 if i == 0 else 2) for i in range(4)
        ]
        if config.stride_in_1x1:
            for stage in stages[1:]:
                _move_stride(stage)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        initialise_residual([self.conv1, *stages])
        self.fpn = FeaturePyramidNetwork(
            widths[2:], config.channels, extra_blocks=LastLevelP6P7(config.channels, config.channels)
        )
        self.fine_channels = widths[1]

    def fold(self) -> None:
        """Fold the ResNet's batch norms into their convolutions, in place (for inference)."""
        if isinstance(self.bn1, nn.BatchNorm2d):
            self.conv1, self.bn1 = fuse_conv_bn_eval(self.conv1, self.bn1), nn.Identity()
            for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
                fold_stage(stage)

    def forward(self, images: Tensor) -> Pyramid:
        """Map normalised images (B,3,H,W), sides multiples of 32, to C2 and P3..P7."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images)), inplace=True), 3, stride=2, padding=1)
        c2 = self.layer1(x)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return Pyramid(c2, list(self.fpn(OrderedDict(c3=c3, c4=c4, c5=self.layer4(c4))).values()))


class EfficientNetPyramid(nn.Module):
    """EfficientNet-Lite's C3, C4 and C5 to P3..P7; P6 and P7 are made of P5."""

    def __init__(self, config: B2InstConfig) -> None:
        super().__init__()
        self.trunk = EfficientNetLite("lite0")
        self.fpn = FeaturePyramidNetwork(
            list(self.trunk.widths[2:]), config.channels, extra_blocks=LastLevelP6P7(config.channels, config.channels)
        )
        self.fine_channels = self.trunk.widths[1]

    def forward(self, images: Tensor) -> Pyramid:
        """Map normalised images (B,3,H,W), sides multiples of 32, to C2 and P3..P7."""
        _, c2, c3, c4, c5 = self.trunk(images)
        return Pyramid(c2, list(self.fpn(OrderedDict(c3=c3, c4=c4, c5=c5)).values()))


Backbone = ResNetPyramid | EfficientNetPyramid


def make_backbone(config: B2InstConfig) -> Backbone:
    """Build the backbone of a configuration."""
    return ResNetPyramid(config) if config.backbone == "resnet" else EfficientNetPyramid(config)


def _move_stride(stage: nn.Sequential) -> None:
    """Let the first 1x1 convolution of a bottleneck stage halve the size, as in the published weights; in place."""
    block = stage[0]
    if isinstance(block, Bottleneck):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
