"""Small convolutional blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.fused_convolutions import convolve_add, convolve_add_relu, convolve_relu
from vossegcli.layers.winograd import takes_winograd


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
        return convolve_add(self.conv2, convolve_relu(self.conv1, F.relu(x)), x)

    def relu(self, x: Tensor) -> Tensor:
        """Return what is positive of `forward`, for layers that need nothing else of it."""
        return convolve_add_relu(self.conv2, convolve_relu(self.conv1, F.relu(x)), x)


def partial_conv(conv: nn.Conv2d, x: Tensor, first: int, *, with_bias: bool = False) -> Tensor:
    """Convolve some of the input channels of a 3x3 convolution.

    A convolution is linear: the partial convolutions of all channels and the bias add up to its output, and one that is
    the same for many inputs need be computed only once.

    Args:
        conv: from `conv3x3`.
        x: (B,C,H,W), the input's channels `first` to `first + C - 1`.
        first: index of the first one.
        with_bias: add the bias, which one of the parts must bring.
    """
    if takes_winograd(conv, x):
        return conv.convolve(x, first, with_bias=with_bias)
    return F.conv2d(x, conv.weight[:, first : first + x.shape[1]], conv.bias if with_bias else None, padding=1)


def lead_of_second(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return by how much the second output of a 3x3 convolution exceeds the first one, (B,1,H,W) float32.

    A CPU computes a convolution with few outputs in the time of one with 16. For inference it is therefore a matrix
    product with the nine parts of the kernel, which are then added up, each shifted to its place.

    Args:
        conv: from `conv3x3`, with two outputs.
        x: (B,C,H,W).
    """
    if x.device.type != "cpu" or torch.is_grad_enabled():
        both: Tensor = conv(x)
        return both[:, 1:].float() - both[:, :1].float()
    batch, channels, height, width = x.shape
    assert conv.bias is not None
    weight: Tensor = conv.weight[1].float() - conv.weight[0].float()
    bias: Tensor = conv.bias[1].float() - conv.bias[0].float()
    parts = weight.permute(1, 2, 0).reshape(9, channels).to(conv.weight.dtype)
    cells = x.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy where x is channels last
    products = (parts @ cells.T).view(3, 3, batch, height, width)
    total = products.new_zeros(batch, height + 2, width + 2, dtype=torch.float32)
    for row in range(3):
        for column in range(3):
            total[:, 2 - row : 2 - row + height, 2 - column : 2 - column + width] += products[row, column]
    return total[:, None, 1:-1, 1:-1] + bias


def upsample2(x: Tensor) -> Tensor:
    """Double the size of (B,C,H,W) bilinearly, pixel centres aligned (`align_corners=False`)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
