"""Query and memory encoders and the shared key/value projection.

Shape letters: B batch, K classes (background is class 0), C channels, H W pixels, h w cells at stride 16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vossegcli.layers.blocks import conv3x3, upsample2
from vossegcli.layers.normalise import NormalisedInput
from vossegcli.layers.resnet import fold_stage, initialise_residual, make_stage, stage_channels
from vossegcli.systems.afb_urr.config import TrunkConfig


class Pyramid(NamedTuple):
    """Feature maps of one frame: r1 at stride 2, r2 at 4, r3 at 8, r4 at 16; each (B,C,H/s,W/s).

    Some encoders go on to stride 32 (r5).
    """

    r1: Tensor
    r2: Tensor
    r3: Tensor
    r4: Tensor
    r5: Tensor | None = None


class Trunk(NormalisedInput):
    """Normalisation, stem and stages C2..C4 of a ResNet, under the public checkpoint's parameter names."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, config.stem, 7, stride=2, padding=3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(config.stem)
        widths = [config.stem, *(stage_channels(config.block, p) for p in config.planes)]
        strides = (1, 2, 2)
        stages = [make_stage(config.block, widths[i], config.planes[i], config.depths[i], strides[i]) for i in range(3)]
        self.res2, self.res3, self.res4 = stages
        self.widths = tuple(widths)
        initialise_residual([self.conv1, *stages])

    def stages(self, stem: Tensor) -> Pyramid:
        """Run the stages on the stem's sum (B,C,H/2,W/2), before its batch norm."""
        r1 = F.relu(self.bn1(stem), inplace=True)
        r2 = self.res2(F.max_pool2d(r1, 3, stride=2, padding=1))
        r3 = self.res3(r2)
        return Pyramid(r1, r2, r3, self.res4(r3))

    def fold(self) -> None:
        """Fold all batch norms into their convolutions, in place (for inference)."""
        if not isinstance(self.bn1, nn.BatchNorm2d):
            return
        assert self.bn1.running_var is not None
        scale = self.bn1.weight / torch.sqrt(self.bn1.running_var + self.bn1.eps)
        for conv in (getattr(self, name) for name in ("conv1_m", "conv1_o") if hasattr(self, name)):
            conv.weight.mul_(scale.view(-1, 1, 1, 1))  # the memory encoder's stem is a sum under one norm
        self.conv1 = fuse_conv_bn_eval(self.conv1, self.bn1)
        self.bn1 = nn.Identity()
        for stage in (self.res2, self.res3, self.res4):
            fold_stage(stage)


class QueryEncoder(Trunk):
    """Encodes a frame alone."""

    def forward(self, frames: Tensor) -> Pyramid:
        """Encode RGB frames (B,3,H,W) in [0, 1]; H and W are multiples of 16."""
        return self.stages(self.conv1(self.normalise(frames)))


class MemoryEncoder(Trunk):
    """Encodes a frame together with the mask of one class and its complement (paper sec. 3.1)."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config)
        self.conv1_m = nn.Conv2d(1, config.stem, 7, stride=2, padding=3, bias=False)
        self.conv1_o = nn.Conv2d(1, config.stem, 7, stride=2, padding=3, bias=False)

    def forward(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Encode each class of each frame.

        The RGB part of the stem does not depend on the class and is computed once a frame.

        Args:
            frames: (B,3,H,W) RGB in [0, 1].
            masks: (B,K,H,W) soft or hard masks in [0, 1], background as class 0.

        Returns:
            (B*K,C,h,w) features at stride 16.
        """
        batch, classes = masks.shape[:2]
        rgb = self.conv1(self.normalise(frames))  # (B,C,H/2,W/2)
        mask = masks.flatten(0, 1).unsqueeze(1)  # (B*K,1,H,W)
        mask_and_others = torch.cat([mask, (1.0 - mask).clamp(0.0, 1.0)], dim=1)  # (B*K,2,H,W)
        weight = torch.cat([self.conv1_m.weight, self.conv1_o.weight], dim=1)  # (C,2,7,7)
        of_masks = F.conv2d(mask_and_others, weight, stride=2, padding=3)  # (B*K,C,H/2,W/2)
        stem = of_masks.unflatten(0, (batch, classes)) + rgb.unsqueeze(1)
        return self.stages(stem.flatten(0, 1)).r4


def unit_keys(keys: Tensor, log_scale: Tensor) -> Tensor:
    """Turn keys (B,C,h,w) into unit vectors times the scale `exp(log_scale)`, float32."""
    return F.normalize(keys.float(), dim=1) * log_scale.exp()


class KeyValue(nn.Module):
    """3x3 projections of stride-16 features to keys and values (paper eq. 1)."""

    def __init__(self, in_channels: int, key_channels: int, value_channels: int, *, unit_keys: bool) -> None:
        super().__init__()
        self.Key = conv3x3(in_channels, key_channels)
        self.Value = conv3x3(in_channels, value_channels)
        # Unit keys k, similarity k.q * scale^2 / sqrt(C): the scale starts at a logit range of +-15.
        log_scale = 0.5 * torch.log(torch.tensor(15.0 * key_channels**0.5))
        self.log_scale = nn.Parameter(log_scale) if unit_keys else None

    def key(self, features: Tensor) -> Tensor:
        """Project (B,C,h,w) to keys (B,Ck,h,w), float32 where keys are unit vectors."""
        key: Tensor = self.Key(features)
        if self.log_scale is None:
            return key
        return unit_keys(key, self.log_scale)

    def value(self, features: Tensor) -> Tensor:
        """Project (B,C,h,w) to values (B,Cv,h,w)."""
        value: Tensor = self.Value(features)
        return value


class FineKey(nn.Module):
    """Unit keys at stride 8 times one learned scale, from stride-8 features and their surroundings (addition)."""

    def __init__(self, fine_channels: int, coarse_channels: int, channels: int) -> None:
        super().__init__()
        self.Key = conv3x3(fine_channels, channels)
        self.Context = nn.Conv2d(coarse_channels, channels, 1, bias=False)
        self.log_scale = nn.Parameter(0.5 * torch.log(torch.tensor(15.0 * channels**0.5)))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Project features (B,C3,H/8,W/8) and (B,C4,H/16,W/16) to keys (B,Cf,H/8,W/8), float32."""
        return unit_keys(self.Key(fine) + upsample2(self.Context(coarse)), self.log_scale)
