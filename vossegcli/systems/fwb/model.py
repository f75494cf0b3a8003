"""The FWB network: a backbone at stride 8, and a head that turns features and a similarity map into a mask.

Shape letters: K supports, N prototypes (experts), B queries, C channels, H W pixels, h w cells at stride 8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet101, vgg16

from vossegcli.layers.blocks import IMAGENET_MEAN, IMAGENET_STD, conv3x3, share_of_conv
from vossegcli.layers.resnet import dilate_stage, initialise_residual, make_stage
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.feature_weighting import class_average, class_difference, relevance, similarity_maps

STRIDE = 8
_VGG_POOL4, _VGG_POOL5 = 23, 30  # indices in torchvision's `features`


class FWB(nn.Module):
    """The network. Class features and their weights are computed from supports, nothing of a class is stored."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: FWBConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.backbone, self.channels = build_backbone(config)
        self.join = conv3x3(self.channels + 1, config.head_channels)
        self.classify = nn.Conv2d(config.head_channels, 2, 1)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B,3,H,W), RGB in [0, 1], to features (B,C,h,w), float32."""
        features: Tensor = self.backbone((images - self.mean) / self.std)
        return features.float()

    def head_base(self, features: Tensor) -> Tensor:
        """What the head makes of features (B,C,h,w) without the similarity: (B,D,h,w), the same for all prototypes."""
        assert self.join.bias is not None
        return share_of_conv(self.join, features, 0) + self.join.bias.view(1, -1, 1, 1)

    def head(self, base: Tensor, maps: Tensor) -> Tensor:
        """Classify every cell for every prototype (paper sec. 3.3: the map joins the features).

        Args:
            base: (B,D,h,w) from `head_base`.
            maps: (B,N,h,w) similarities.

        Returns:
            logits (B,N,2,h,w): background and class.
        """
        batch, count = maps.shape[:2]
        of_maps = share_of_conv(self.join, maps.flatten(0, 1).unsqueeze(1), self.channels)  # (B*N,D,h,w)
        hidden = F.relu(of_maps.unflatten(0, (batch, count)) + base.unsqueeze(1))
        logits: Tensor = self.classify(hidden.flatten(0, 1))
        per_prototype: Tensor = logits.unflatten(0, (batch, count))
        return per_prototype.float()

    def forward(self, support_features: Tensor, support_masks: Tensor, query_features: Tensor) -> Tensor:
        """Segment queries with the mean class feature of their supports (training, and use without boosting).

        Args:
            support_features: (K,C,h,w).
            support_masks: (K,h,w) soft, at the features' size.
            query_features: (B,C,h,w).

        Returns:
            logits (B,2,h,w).
        """
        prototype = class_average(support_features, support_masks).mean(dim=0, keepdim=True)
        weights = relevance(class_difference(support_features, support_masks))
        maps = similarity_maps(prototype, weights, query_features)
        return self.head(self.head_base(query_features), maps)[:, 0]


def masks_at_cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Average masks (K,H,W) over the cells of features of size (h, w): (K,h,w) float32, so that no object vanishes."""
    return F.interpolate(masks.float().unsqueeze(1), size=size, mode="area")[:, 0]


def build_backbone(config: FWBConfig) -> tuple[nn.Module, int]:
    """Build a backbone whose output has stride 8 (paper: the last two stages keep it and are dilated by 2 and 4).

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
    stem = nn.Sequential(
        nn.Conv2d(3, config.stem, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(config.stem),
        nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1),
    )  # fmt: skip
    widths = (config.stem, *config.planes)
    stages = [make_stage("basic", widths[i], widths[i + 1], config.depths[i], 2 if i == 1 else 1) for i in range(4)]
    initialise_residual([stem, *stages])
    dilate_stage(stages[2], 2)
    dilate_stage(stages[3], 4)
    return nn.Sequential(stem, *stages), config.planes[-1]
