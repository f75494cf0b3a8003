"""Decoder with uncertain-region refinement (paper sec. 3.3).

Shape letters: B frames, K classes (background is class 0), C channels, H W pixels, h w cells at stride 16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import PreActivationBlock, conv3x3, upsample2
from vossegcli.systems.afb_urr.encoders import Pyramid

LOCAL_WINDOW = 7
EPS = 1e-8
#: Classes that are decoded together: bounds memory with many objects, changes no number.
CLASSES_AT_ONCE = 8


class Decoded(NamedTuple):
    """What the decoder gives.

    Attributes:
        probs: (B,K,H,W) float32 probability of each class on its own (they need not add up to 1).
        rough_uncertainty: (B,1,H,W) uncertainty before the refinement, `exp(1 - p1/p2)`.
    """

    probs: Tensor
    rough_uncertainty: Tensor


class Skips(NamedTuple):
    """The decoder's skip branches of one frame, which do not depend on the class."""

    stride8: Tensor  # (B,C,H/8,W/8)
    stride4: Tensor  # (B,C,H/4,W/4)
    stride2: Tensor  # (B,C1,H/2,W/2) = r1


def uncertainty(class_probs: Tensor) -> Tensor:
    """Uncertainty of a pixel from its two most probable classes (paper eq. 9).

    `U = exp(1 - p1 / p2)`: 1 where the two are equal, towards 0 where one class dominates.

    Args:
        class_probs: (B,K,H,W) probabilities over classes, K >= 2.

    Returns:
        (B,1,H,W) in (0, 1].
    """
    top = class_probs.topk(2, dim=1).values  # (B,2,H,W)
    return torch.exp(1.0 - top[:, :1] / (top[:, 1:] + EPS))


def local_reference(features: Tensor, probs: Tensor) -> Tensor:
    """Average the features of a window, weighted by the class's probability (paper eq. 11).

    Args:
        features: (B,1,C,H,W) features of the frame.
        probs: (B,K,1,H,W) rough probability of each class.

    Returns:
        (B,K,C,H,W). Windows are 7x7; pixels beyond the border count as zeros in both averages.
    """
    shape = torch.broadcast_shapes(features.shape, probs.shape)
    weighted = _window_mean((features * probs.to(features.dtype)).flatten(0, 1)).view(shape)
    weights = _window_mean(probs.flatten(0, 1)).view_as(probs)
    return weighted * (1.0 / (weights + EPS)).to(features.dtype)  # one division a pixel, not one a channel


def _window_mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, LOCAL_WINDOW, stride=1, padding=LOCAL_WINDOW // 2)


class Refine(nn.Module):
    """One step up: skip features of the frame plus the upsampled features of each class."""

    def __init__(self, skip_channels: int, channels: int, guidance_channels: int) -> None:
        super().__init__()
        self.convFS = conv3x3(skip_channels, channels)
        self.ResFS = PreActivationBlock(channels)
        self.ResMM = PreActivationBlock(channels)
        self.guide = conv3x3(guidance_channels, channels) if guidance_channels else None

    def skip(self, features: Tensor) -> Tensor:
        """Project the frame's features (B,Cs,H,W) once for all classes to (B,C,H,W)."""
        skip: Tensor = self.ResFS(self.convFS(features))
        return skip

    def forward(self, skip: Tensor, below: Tensor, guidance: Tensor | None) -> Tensor:
        """Merge.

        Args:
            skip: (B,C,H,W) from `skip`.
            below: (B*K,C,H/2,W/2).
            guidance: (B*K,G,H,W) masks read from the memory, when the module was built with guidance.

        Returns:
            (B*K,C,H,W).
        """
        up = upsample2(below)
        merged = (skip.unsqueeze(1) + up.unflatten(0, (skip.shape[0], -1))).flatten(0, 1)
        if self.guide is not None and guidance is not None:
            merged = merged + self.guide(guidance)
        refined: Tensor = self.ResMM(merged)
        return refined


class Decoder(nn.Module):
    """From matched features to one probability map a class.

    Args:
        match_channels: channels of the matched features at stride 16.
        skip_widths: channels of r1, r2, r3.
        channels: width at strides 16, 8 and 4.
        local_channels: width of the local refinement at stride 2.
        guidance_channels: number of masks at stride 4 that guide the two refinement steps (0: published).
    """

    def __init__(
        self,
        match_channels: int,
        skip_widths: tuple[int, int, int],
        channels: int,
        local_channels: int,
        guidance_channels: int,
    ) -> None:
        super().__init__()
        stride2, stride4, stride8 = skip_widths
        self.convFM = conv3x3(match_channels, channels)
        self.ResMM = PreActivationBlock(channels)
        self.RF3 = Refine(stride8, channels, guidance_channels)
        self.RF2 = Refine(stride4, channels, guidance_channels)
        self.pred2 = conv3x3(channels, 2)
        self.local_convFM = conv3x3(2 * stride2, local_channels)
        self.local_ResMM = PreActivationBlock(local_channels)
        self.local_pred2 = conv3x3(local_channels, 2)

    def skips(self, pyramid: Pyramid) -> Skips:
        """Compute what depends on the frame alone, once a frame."""
        return Skips(self.RF3.skip(pyramid.r3), self.RF2.skip(pyramid.r2), pyramid.r1)

    def forward(self, match: Tensor, skips: Skips, guidance: Tensor | None = None) -> Decoded:
        """Decode every class of every frame.

        Args:
            match: (B,K,C,h,w) matched features at stride 16.
            skips: the frame's skip branches.
            guidance: (B,K,G,H/4,W/4) masks in [0, 1], when the module was built with guidance.
        """
        groups = [slice(k, k + CLASSES_AT_ONCE) for k in range(0, match.shape[1], CLASSES_AT_ONCE)]
        logits = torch.cat(
            [self._rough_logits(match[:, g], skips, None if guidance is None else guidance[:, g]) for g in groups], 1
        )  # (B,K,2,H/2,W/2)
        rough = logits.softmax(dim=2)[:, :, 1].softmax(dim=1)  # (B,K,H/2,W/2), a softmax of probabilities as published
        unsure = uncertainty(rough)  # (B,1,H/2,W/2)
        probs = []
        for g in groups:
            local = self._local_logits(skips.stride2, rough[:, g])  # (B,k,2,H/2,W/2)
            refined = (logits[:, g] + unsure.unsqueeze(2) * local).flatten(0, 1)
            probs.append(upsample2(refined).softmax(dim=1)[:, 1].unflatten(0, local.shape[:2]))
        return Decoded(torch.cat(probs, dim=1), upsample2(unsure))

    def _rough_logits(self, match: Tensor, skips: Skips, guidance: Tensor | None) -> Tensor:
        """Decode (B,k,C,h,w) to background/foreground logits (B,k,2,H/2,W/2), float32."""
        guide4 = None if guidance is None else guidance.flatten(0, 1)
        guide8 = None if guide4 is None else F.avg_pool2d(guide4, 2)
        x = self.ResMM(self.convFM(match.flatten(0, 1)))  # (B*k,C,h,w)
        x = self.RF3(skips.stride8, x, guide8)
        x = self.RF2(skips.stride4, x, guide4)
        return upsample2(self.pred2(F.relu(x)).float()).unflatten(0, match.shape[:2])

    def _local_logits(self, r1: Tensor, rough: Tensor) -> Tensor:
        """Compare each pixel with its class's local reference (paper eq. 10-12): (B,k,2,H/2,W/2), float32."""
        features = r1.unsqueeze(1)  # (B,1,C,H/2,W/2)
        reference = local_reference(features, rough.unsqueeze(2))  # (B,k,C,H/2,W/2)
        pair = torch.cat([features.expand_as(reference), reference], dim=2).flatten(0, 1)
        refined = self.local_pred2(F.relu(self.local_ResMM(self.local_convFM(pair)))).float()
        confidence = F.max_pool2d(rough, LOCAL_WINDOW, stride=1, padding=LOCAL_WINDOW // 2)
        return confidence.unsqueeze(2) * refined.unflatten(0, rough.shape[:2])
