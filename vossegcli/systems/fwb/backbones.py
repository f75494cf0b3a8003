"""Backbones of FWB: images to features at stride 8.

Shape letters: B images, C channels, H W pixels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet101, vgg16

from vossegcli.layers.resnet import dilate_stage, initialise_residual, make_stage
from vossegcli.systems.fwb.config import FWBConfig

_VGG_POOL4, _VGG_POOL5 = 23, 30  # indices in torchvision's `features`


def build_backbone(config: FWBConfig) -> tuple[nn.Module, int]:
    """Build a backbone whose output has stride 8.

    The published ones keep the size of their last two stages and dilate them by 2 and 4 (paper sec. 4).

    Returns:
        the network from normalised images (B,3,H,W) to features (B,C,H/8,W/8), and C.
    """
    if config.backbone == "resnet101":
        network = resnet101(weights=None, replace_stride_with_dilation=[False, True, True])
        stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        return nn.Sequential(stem, network.layer1, network.layer2, network.layer3, network.layer4), 2048
    if config.backbone == "vgg16":
        layers = list(vgg16(weights=None).features)[:_VGG_POOL5]
        for index in range(_VGG_POOL4 + 1, _VGG_POOL5):  # the last stage sees twice as far instead of pooling
            if isinstance(layers[index], nn.Conv2d):
                layers[index].dilation, layers[index].padding = (2, 2), (2, 2)
        layers[_VGG_POOL4] = nn.Identity()
        return nn.Sequential(*layers), 512
    return CompactBackbone(config), config.planes[-1]


class CompactBackbone(nn.Module):
    """A small ResNet whose stages at strides 8 and 16 are added up at stride 8; our own choice.

    It costs a third of what dilating the last two stages would, and its features can be negative, as the weighted
    cosine likes them.
    """

    def __init__(self, config: FWBConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, config.stem, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(config.stem),
            nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        widths, strides = (config.stem, *config.planes), (1, 2, 2, 1)
        self.stages = nn.ModuleList(
            make_stage("basic", widths[i], widths[i + 1], config.depths[i], strides[i]) for i in range(4)
        )
        initialise_residual([self.stem, *self.stages])
        last = self.stages[3]
        assert isinstance(last, nn.Sequential)
        dilate_stage(last, 2)
        self.merge = nn.ModuleList(nn.Conv2d(width, config.planes[-1], 1, bias=False) for width in config.planes[1:])
        self.norm = nn.BatchNorm2d(config.planes[-1])  # a mean that all cells share would drown their cosines

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B,3,H,W), sides multiples of 8, to features (B,C,H/8,W/8)."""
        x = self.stages[0](self.stem(images))
        fine = self.stages[1](x)  # stride 8
        middle = self.stages[2](fine)  # stride 16
        coarse = self.merge[1](middle) + self.merge[2](self.stages[3](middle))
        features = self.merge[0](fine)
        features = features + F.interpolate(coarse, size=features.shape[2:], mode="bilinear", align_corners=False)
        normalised: Tensor = self.norm(features)
        return normalised
