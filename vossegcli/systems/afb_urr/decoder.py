"""Decoder with uncertain-region refinement (paper sec. 3.3).

Shape letters: B frames, K classes (background is class 0), C channels, H W pixels, h w cells at stride 16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import PreActivationBlock, conv3x3, lead_of_second, partial_conv, upsample2
from vossegcli.layers.fused_convolutions import convolve_add
from vossegcli.systems.afb_urr.encoders import Pyramid

LOCAL_WINDOW = 7
EPS = 1e-8
#: Log odds are limited to those of a probability of 1 - 1e-7, as in the paper's code.
LARGEST = math.log(1e7)
#: Classes that are decoded together: bounds memory with many objects, changes no number.
CLASSES_AT_ONCE = 8


class Skips(NamedTuple):
    """Features of a frame that the decoder computes once for all classes."""

    stride16: Tensor  # (B,C,h,w), the query value's share of `convFM`, with bias
    stride8: Tensor  # (B,C,H/8,W/8)
    stride4: Tensor  # (B,C,H/4,W/4)
    stride2: Tensor  # (B,C1,H/2,W/2) = r1
    local: Tensor  # (B,Cl,H/2,W/2), the share of r1 in `local_convFM`, with bias


def two_largest(class_probs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest and the second largest of (B,K,H,W) over K >= 2, each (B,1,H,W)."""
    x = class_probs.split(1, dim=1)  # a running comparison: much cheaper than topk over an outer axis
    first, second = torch.maximum(x[0], x[1]), torch.minimum(x[0], x[1])
    for other in x[2:]:
        second = torch.maximum(second, torch.minimum(first, other))
        first = torch.maximum(first, other)
    return first, second


def uncertainty(class_probs: Tensor) -> Tensor:
    """Uncertainty of a pixel from its two most probable classes (paper eq. 9).

    `U = exp(1 - p1 / p2)`: 1 where the two are equal, towards 0 where one class dominates.

    Args:
        class_probs: (B,K,H,W) probabilities over classes, K >= 2.

    Returns:
        (B,1,H,W) in (0, 1].
    """
    first, second = two_largest(class_probs)
    return torch.exp(1.0 - first / (second + EPS))


def local_reference(features: Tensor, probs: Tensor) -> Tensor:
    """Average the features of a window, weighted by the class's probability (paper eq. 11).

    Args:
        features: (B,1,C,H,W) features of the frame.
        probs: (B,K,1,H,W) rough probability of each class.

    Returns:
        (B,K,C,H,W). Windows are 7x7; pixels beyond the border count as zeros in both averages.
    """
    flat = probs.flatten(0, 1)  # (B*K,1,H,W)
    weighted = (features * _spread(flat, features).unflatten(0, probs.shape[:2])).flatten(0, 1)  # (B*K,C,H,W)
    weights = in_windows(flat, torch.add, 0.0)
    scale = 1.0 / (weights + LOCAL_WINDOW**2 * EPS)  # one division a pixel, not one a channel
    means: Tensor = (_window_sum(weighted) * _spread(scale, features)).unflatten(0, probs.shape[:2])
    return means


def _spread(x: Tensor, features: Tensor) -> Tensor:
    """Repeat (N,1,H,W) for the channels of features (B,1,C,H,W), in their type.

    Channels last, the values of a pixel lie side by side. A CPU repeats them much faster than it multiplies by one.
    """
    spread = x.to(features.dtype).expand(-1, features.shape[2], -1, -1)
    if x.device.type == "cpu" and features[:, 0].is_contiguous(memory_format=torch.channels_last):
        return spread.contiguous(memory_format=torch.channels_last)
    return spread


def in_windows(x: Tensor, combine: Callable[[Tensor, Tensor], Tensor], beyond: float) -> Tensor:
    """Combine the values of 7x7 windows of (B,C,H,W): pairs, pairs of pairs, and what is left, on one axis at a time.

    Much faster than pooling on a CPU.

    Args:
        x: values.
        combine: associative, as `torch.add` or `torch.maximum`.
        beyond: value of pixels beyond the border.
    """
    reach = LOCAL_WINDOW // 2
    for axis, sides in ((-2, (0, 0, reach, reach)), (-1, (reach, reach))):
        length = x.shape[axis]
        padded = F.pad(x, sides, value=beyond)
        two = combine(padded.narrow(axis, 0, length + 5), padded.narrow(axis, 1, length + 5))
        four = combine(two.narrow(axis, 0, length), two.narrow(axis, 2, length))
        six = combine(four, two.narrow(axis, 4, length))
        x = combine(six, padded.narrow(axis, 6, length))
    return x


def _window_sum(x: Tensor) -> Tensor:
    """Sum (B,C,H,W) over 7x7 windows, as a depthwise convolution: on a CPU much faster than pooling."""
    ones = x.new_ones(x.shape[1], 1, LOCAL_WINDOW, LOCAL_WINDOW)
    return F.conv2d(x, ones, padding=LOCAL_WINDOW // 2, groups=x.shape[1])


def add_to_classes(of_classes: Tensor, of_frame: Tensor) -> Tensor:
    """Add a frame's features (B,C,H,W) to those of each of its classes (B*K,C,H,W), in place."""
    of_classes.unflatten(0, (of_frame.shape[0], -1)).add_(of_frame.unsqueeze(1))
    return of_classes


class Refine(nn.Module):
    """One step up: skip features of the frame plus the upsampled features of each class."""

    def __init__(self, skip_channels: int, channels: int, guidance_channels: int, *, light: bool) -> None:
        super().__init__()
        self.convFS = conv3x3(skip_channels, channels)
        self.ResFS = nn.Identity() if light else PreActivationBlock(channels)
        self.ResMM = PreActivationBlock(channels)
        self.guide = conv3x3(guidance_channels, channels) if guidance_channels else None

    def skip(self, features: Tensor) -> Tensor:
        """Project the frame's features (B,Cs,H,W) once for all classes to (B,C,H,W)."""
        skip: Tensor = self.ResFS(self.convFS(features))
        return skip

    def merge(self, skip: Tensor, below: Tensor, guidance: Tensor | None) -> Tensor:
        """Add up what `ResMM` refines.

        Args:
            skip: (B,C,H,W) from `skip`.
            below: (B*K,C,H/2,W/2).
            guidance: (B*K,G,H,W) masks read from the memory, when the module was built with guidance.

        Returns:
            (B*K,C,H,W).
        """
        merged = add_to_classes(upsample2(below), skip)
        if self.guide is None or guidance is None:
            return merged
        return convolve_add(self.guide, guidance, merged)


def _mask_prior(masks: int) -> nn.Conv2d:
    """1x1 convolution from masks read from the memory to a foreground logit; starts by believing their mean."""
    prior = nn.Conv2d(masks, 1, 1)
    assert prior.bias is not None
    nn.init.constant_(prior.weight, 4.0 / masks)
    nn.init.constant_(prior.bias, -2.0)
    return prior


class Decoder(nn.Module):
    """From matched features to one map of log odds a class.

    Args:
        match_channels: channels of what is matched at stride 16: read from the bank, the query's value, read
            from the newest frame (0: published).
        skip_widths: channels of r1, r2, r3.
        channels: width at strides 16, 8 and 4.
        local_channels: width of the local refinement at stride 2.
        guidance_channels: number of masks at stride 4 that guide the two refinement steps (0: published).
        light_skips: project skip features without a residual block.
    """

    def __init__(
        self,
        match_channels: tuple[int, int, int],
        skip_widths: tuple[int, int, int],
        channels: int,
        local_channels: int,
        guidance_channels: int,
        *,
        light_skips: bool,
    ) -> None:
        super().__init__()
        stride2, stride4, stride8 = skip_widths
        self.read_channels, self.value_channels, newest_channels = match_channels
        self.convFM = conv3x3(self.read_channels + self.value_channels + newest_channels, channels)
        self.ResMM = PreActivationBlock(channels)
        self.RF3 = Refine(stride8, channels, guidance_channels, light=light_skips)
        self.RF2 = Refine(stride4, channels, guidance_channels, light=light_skips)
        self.pred2 = conv3x3(channels, 2)
        self.local_convFM = conv3x3(2 * stride2, local_channels)
        self.local_ResMM = PreActivationBlock(local_channels)
        self.local_pred2 = conv3x3(local_channels, 2)
        for head in (self.pred2, self.local_pred2):  # starts undecided: a saturated start has no gradient
            nn.init.normal_(head.weight, std=1e-3)
        self.prior = _mask_prior(guidance_channels) if guidance_channels else None

    def skips(self, pyramid: Pyramid, value: Tensor) -> Skips:
        """Compute what depends on the frame alone, once a frame; value is (B,V,h,w), the query's."""
        return Skips(
            stride16=partial_conv(self.convFM, value, self.read_channels, with_bias=True),
            stride8=self.RF3.skip(pyramid.r3),
            stride4=self.RF2.skip(pyramid.r2),
            stride2=pyramid.r1,
            local=partial_conv(self.local_convFM, pyramid.r1, 0, with_bias=True),
        )

    def forward(
        self,
        read: Tensor,
        skips: Skips,
        newest: Tensor | None = None,
        guidance: Tensor | None = None,
        evidence: Tensor | None = None,
    ) -> Tensor:
        """Decode every class of every frame.

        Args:
            read: (B,K,C,h,w) read from the bank.
            skips: what depends on the frame alone.
            newest: (B,K,N,h,w) read from the newest frame, when the module was built with it.
            guidance: (B,K,G,H/4,W/4) masks in [0, 1], when the module was built with guidance.
            evidence: (B,K,H/4,W/4) log odds that are added to those found, before they are refined.

        Returns:
            (B,K,H,W) float32 log odds of each class on its own, up to `LARGEST`.
        """
        groups = [slice(k, k + CLASSES_AT_ONCE) for k in range(0, read.shape[1], CLASSES_AT_ONCE)]
        rough_logits = []
        for g in groups:
            more = (None if x is None else x[:, g] for x in (newest, guidance, evidence))
            rough_logits.append(self._rough_logits(read[:, g], skips, *more))
        logits = torch.cat(rough_logits, dim=1)  # (B,K,H/2,W/2), foreground minus background
        rough = logits.sigmoid().softmax(dim=1)  # (B,K,H/2,W/2), a softmax of probabilities as published
        unsure = uncertainty(rough)  # (B,1,H/2,W/2)
        local = torch.cat([self._local_logits(skips, rough[:, g]) for g in groups], dim=1)  # (B,K,H/2,W/2)
        return upsample2(logits + unsure * local).clamp_(-LARGEST, LARGEST)

    def _rough_logits(
        self, read: Tensor, skips: Skips, newest: Tensor | None, guidance: Tensor | None, evidence: Tensor | None
    ) -> Tensor:
        """Decode (B,k,C,h,w) to foreground minus background logits (B,k,H/2,W/2), float32."""
        matched = partial_conv(self.convFM, read.flatten(0, 1), 0)  # (B*k,C,h,w)
        if newest is not None:
            first = self.read_channels + self.value_channels
            matched = matched + partial_conv(self.convFM, newest.flatten(0, 1), first)
        guide4 = None if guidance is None else guidance.flatten(0, 1)
        guide8 = None if guide4 is None else F.avg_pool2d(guide4, 2)
        x = self.ResMM(add_to_classes(matched, skips.stride16))
        x = self.RF3.ResMM(self.RF3.merge(skips.stride8, x, guide8))
        x = self.RF2.ResMM.relu(self.RF2.merge(skips.stride4, x, guide4))
        logits = lead_of_second(self.pred2, x)  # (B*k,1,H/4,W/4)
        if self.prior is not None and guide4 is not None:
            logits = logits + self.prior(guide4).float()
        if evidence is not None:
            logits = logits + evidence.flatten(0, 1).unsqueeze(1)
        up = upsample2(logits)  # (B*k,1,H/2,W/2)
        return up.view(*read.shape[:2], *up.shape[2:])

    def _local_logits(self, skips: Skips, rough: Tensor) -> Tensor:
        """Compare each pixel with its class's local reference (paper eq. 10-12): (B,k,H/2,W/2), float32."""
        r1 = skips.stride2
        reference = local_reference(r1.unsqueeze(1), rough.unsqueeze(2)).flatten(0, 1)  # (B*k,C,H/2,W/2)
        of_reference = partial_conv(self.local_convFM, reference, r1.shape[1])
        x = self.local_ResMM.relu(add_to_classes(of_reference, skips.local))  # (B*k,Cl,H/2,W/2)
        refined = lead_of_second(self.local_pred2, x)  # (B*k,1,H/2,W/2)
        return in_windows(rough, torch.maximum, 0.0) * refined.view_as(rough)
