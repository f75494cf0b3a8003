"""Small convolutional blocks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3x3 convolution with bias that keeps the size; He initialisation (fan out), zero bias."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


class PreActivationBlock(nn.Module):
    """`x + conv2(relu(conv1(relu(x))))` without normalisation, as in STM's and AFB-URR's decoders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        nn.init.zeros_(self.conv2.weight)  # starts as identity: unnormalised sums of blocks would grow

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,H,W) to the same shape."""
        residual: Tensor = self.conv2(F.relu(self.conv1(F.relu(x)), inplace=True))
        return residual.add_(x)


def partial_conv(conv: nn.Conv2d, x: Tensor, first: int) -> Tensor:
    """Convolve some of the input channels of a 3x3 convolution, without its bias.

    A convolution is linear: the partial convolutions of all channels and the bias add up to its output, and one that is
    the same for many inputs need be computed only once.

    Args:
        conv: from `conv3x3`.
        x: (B,C,H,W), the input's channels `first` to `first + C - 1`.
        first: index of the first one.
    """
    return F.conv2d(x, conv.weight[:, first : first + x.shape[1]], padding=1)


def upsample2(x: Tensor) -> Tensor:
    """Double the size of (B,C,H,W) bilinearly, pixel centres aligned (`align_corners=False`)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
