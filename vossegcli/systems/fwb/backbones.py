"""Backbones of FWB: images to features at stride 8.

Shape letters: B images, C channels, D channels of the context, H W pixels, h w cells at stride 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import PreActivationBlock
from vossegcli.layers.efficientnet_lite import MEAN, STD, EfficientNetLite
from vossegcli.layers.normalise import IMAGENET_MEAN, IMAGENET_STD
from vossegcli.systems.fwb.config import FWBConfig

_VGG_POOL4, _VGG_POOL5 = 23, 30  # indices in torchvision's `features`
STAGES = 3  # of EfficientNet-Lite, whose outputs at strides 8, 16 and 32 are compared


class Encoded(NamedTuple):
    """Features of images, for each of their uses.

    Attributes:
        features: (B,C,h,w) that are compared with those of the class.
        context: (B,D,h,w) that the head sees beside the similarities; as published these are the features.
        fine: (B,E,2h,2w) at stride 4 for the refinement; no channels where there is none.
    """

    features: Tensor
    context: Tensor
    fine: Tensor


class PublishedBackbone(nn.Module):
    """A network whose stages beyond stride 8 keep their size and are dilated instead (paper sec. 4)."""

    multiple = 8

    def __init__(self, trunk: nn.Module, channels: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.groups = (channels,)
        self.widths = (channels, channels, 0)

    def forward(self, images: Tensor) -> Encoded:
        """Encode normalised images (B,3,H,W), sides multiples of 8."""
        features = self.trunk(images)
        batch, _, height, width = features.shape
        return Encoded(features, features, features.new_zeros(batch, 0, 2 * height, 2 * width))


class EfficientNetBackbone(nn.Module):
    """EfficientNet-Lite0 whose stages stay comparable as ImageNet taught them, and a projection that can learn.

    The stages at strides 8, 16 and 32 and the projection are brought to unit length in each cell, so that each has a
    say in the cosines, and stand side by side at stride 8. The context comes from the projection.
    """

    multiple = 32

    def __init__(self, config: FWBConfig) -> None:
        super().__init__()
        self.trunk = EfficientNetLite("lite0", exact_start=True)
        compared = self.trunk.widths[-STAGES:]
        self.project = nn.Conv2d(sum(compared), config.projected, 1)
        self.mix = PreActivationBlock(config.projected)
        self.groups = (*compared, config.projected)
        self.widths = (sum(compared) + config.projected, config.projected, self.trunk.widths[1])

    def forward(self, images: Tensor) -> Encoded:
        """Encode normalised images (B,3,H,W), sides multiples of 32."""
        _, fine, *stages = self.trunk(images)
        size = stages[0].shape[2:]
        parts = [F.normalize(_enlarged(stage.float(), size), dim=1) for stage in stages]
        context = self.mix(self.project(torch.cat(parts, dim=1)))
        parts.append(F.normalize(context.float(), dim=1))
        return Encoded(torch.cat(parts, dim=1), context, fine)


def build_backbone(config: FWBConfig) -> PublishedBackbone | EfficientNetBackbone:
    """Build a backbone whose features have stride 8.

    It says what it gives: `widths`, the channels of each part; `groups`, the channels of each part of the features; and
    `multiple`, of which the sides of images must be multiples.
    """
    if config.backbone == "efficientnet_lite0":
        return EfficientNetBackbone(config)
    from torchvision.models import resnet101, vgg16  # slow to import, and the published networks alone need it

    if config.backbone == "resnet101":
        network = resnet101(weights=None, replace_stride_with_dilation=[False, True, True])
        stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        stages = (network.layer1, network.layer2, network.layer3, network.layer4)
        return PublishedBackbone(nn.Sequential(stem, *stages), 2048)
    layers = list(vgg16(weights=None).features)[:_VGG_POOL5]
    for index in range(_VGG_POOL4 + 1, _VGG_POOL5):  # the last stage sees twice as far instead of pooling
        if isinstance(layers[index], nn.Conv2d):
            layers[index].dilation, layers[index].padding = (2, 2), (2, 2)
    layers[_VGG_POOL4] = nn.Identity()
    return PublishedBackbone(nn.Sequential(*layers), 512)


def normalisation_of(config: FWBConfig) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the input that the backbone's ImageNet weights expect."""
    if config.backbone == "efficientnet_lite0":
        return (MEAN,) * 3, (STD,) * 3
    return IMAGENET_MEAN, IMAGENET_STD


def _enlarged(stage: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(stage, size=size, mode="bilinear", align_corners=False)
