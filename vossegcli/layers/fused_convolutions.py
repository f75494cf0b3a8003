"""Convolutions of a network made ready for inference, with fewer passes over their maps.

Shape letters: B images, C channels, h w cells.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.winograd import takes_winograd

Sides = tuple[int, int, int, int]
Padding = tuple[int, ...]


#: Shapes of maps for which a convolution keeps its weights in order.
_MOST_SHAPES = 4


class FrozenConvolution(nn.Conv2d):
    """A convolution whose weights no longer change: they are brought to oneDNN's order only once for a shape of maps.

    The order depends on the shape, and in a wrong one oneDNN falls back to code that takes a hundred times as long.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
            conv.dilation, conv.groups, device="meta",  # type: ignore[arg-type]
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias
        self._ordered: dict[tuple[Sides | None, torch.dtype, torch.Size], tuple[Tensor, Padding] | None] = {}

    def ordered(self, x: Tensor, sides: Sides | None) -> tuple[Tensor, Padding]:
        """Weight and padding, as `_placed` gives them; from the second map (B,C,h,w) of a shape on, in its order."""
        key = sides, self.weight.dtype, x.shape
        found = self._ordered.get(key)
        if found is None:
            weight, padding = _placed(self, sides)
            if key in self._ordered:
                order = torch.ops.mkldnn._reorder_convolution_weight
                weight = order(weight, padding, self.stride, self.dilation, self.groups, x.shape)
                self._ordered[key] = weight, padding
            else:
                if len(self._ordered) == _MOST_SHAPES:
                    del self._ordered[next(iter(self._ordered))]
                self._ordered[key] = None
            found = weight, padding
        return found

    def __getstate__(self) -> dict[str, object]:
        """Leave out what cannot be copied."""
        return {**self.__dict__, "_ordered": {}}


def convolve_relu6(conv: nn.Conv2d, x: Tensor, sides: Sides | None) -> Tensor:
    """Convolve (B,C,h,w) and limit the result to [0, 6]; oneDNN does both in one pass where it can.

    Args:
        conv: with its bias.
        x: input.
        sides: zeros beyond the map, (left, right, top, bottom); None = as the convolution has it.
    """
    if not _fuses(conv, x):
        return F.relu6(convolve_padded(conv, x, sides), inplace=True)
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise(  # what torch.compile makes of the two
        x.to(conv.weight.dtype), *_parameters(conv, x, sides), "hardtanh", [0.0, 6.0], ""
    )
    return fused


def convolve_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve (B,C,h,w) and cut off what is negative, likewise."""
    if takes_winograd(conv, x):
        return conv.convolve(x, relu=True)
    if not _fuses(conv, x):
        return F.relu(conv(x), inplace=True)
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x.to(conv.weight.dtype), *_parameters(conv, x, None), "relu", [], ""
    )
    return fused


class ConvolutionReLU(nn.Module):
    """A convolution with what `convolve_relu` makes of it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B,C,h,w) and cut off what is negative."""
        return convolve_relu(self.conv, x)


def convolve_add_relu(conv: nn.Conv2d, x: Tensor, other: Tensor) -> Tensor:
    """Convolve (B,C,h,w), add another map and cut off what is negative, likewise."""
    return _convolve_add(conv, x, other, "relu") if _fuses(conv, x) else F.relu(conv(x) + other, inplace=True)


def convolve_add(conv: nn.Conv2d, x: Tensor, other: Tensor) -> Tensor:
    """Convolve (B,C,h,w) and add another map, likewise."""
    return _convolve_add(conv, x, other, None) if _fuses(conv, x) else conv(x) + other


def _convolve_add(conv: nn.Conv2d, x: Tensor, other: Tensor, then: str | None) -> Tensor:
    """Let oneDNN convolve, add, and apply what comes then."""
    dtype = conv.weight.dtype
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x.to(dtype), other.to(dtype), *_parameters(conv, x, None), "add", None, then, [], None
    )
    return fused


def convolve_padded(conv: nn.Conv2d, x: Tensor, sides: Sides | None) -> Tensor:
    """Convolve (B,C,h,w) with zeros at its sides, without a copy that has them."""
    if isinstance(conv, FrozenConvolution) and _fuses(conv, x):
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.to(conv.weight.dtype), *_parameters(conv, x, sides), "none", [], ""
        )
        return found
    weight, padding = _placed(conv, sides)
    return F.conv2d(x, weight, conv.bias, conv.stride, padding, conv.dilation, conv.groups)


def _parameters(conv: nn.Conv2d, x: Tensor, sides: Sides | None) -> tuple[object, ...]:
    """Weight, bias, padding, stride, dilation and groups, as oneDNN's operators take them."""
    weight, padding = conv.ordered(x, sides) if isinstance(conv, FrozenConvolution) else _placed(conv, sides)
    return weight, conv.bias, padding, conv.stride, conv.dilation, conv.groups


def _placed(conv: nn.Conv2d, sides: Sides | None) -> tuple[Tensor, Padding]:
    """Weight and padding: where there are more zeros at the end, the kernel begins with zeros to be alike."""
    if sides is None:
        assert not isinstance(conv.padding, str)
        return conv.weight, conv.padding
    left, right, top, bottom = sides
    return F.pad(conv.weight, (right - left, 0, bottom - top, 0)), (bottom, right)


def _fuses(conv: nn.Conv2d, x: Tensor) -> bool:
    """Return True where the fused convolution is the fastest; autocast and autograd do not know it."""
    if takes_winograd(conv, x):
        return False
    if x.device.type != "cpu" or torch.is_grad_enabled() or not _has_fused(conv.weight.dtype):
        return False
    wanted = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return conv.weight.dtype == wanted


@cache
def _has_fused(dtype: torch.dtype) -> bool:
    wanted = ("_convolution_pointwise", "_reorder_convolution_weight")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in wanted):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
