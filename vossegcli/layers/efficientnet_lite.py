"""EfficientNet-Lite: images to feature maps at strides 2, 4, 8, 16 and 32.

Tan and Le, EfficientNet, ICML 2019; the Lite variants replace Swish by ReLU6 and drop squeeze-and-excitation, so that
they run well on CPUs and in other runtimes. Padding is TensorFlow's "same", as the ImageNet weights expect.

Shape letters: B images, C channels, H W pixels, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vossegcli.layers.fused_convolutions import FrozenConvolution, convolve_padded, convolve_relu6

Variant = Literal["lite0", "lite2"]

#: Normalisation of the input that the ImageNet weights expect: (rgb - MEAN) / STD for rgb in [0, 1].
MEAN: Final = 127.0 / 255.0
STD: Final = 128.0 / 255.0
#: Mean and deviation of each colour, as `NormalisedInput` takes them.
NORMALISATION: Final = (MEAN,) * 3, (STD,) * 3
_EPS: Final = 1e-3
_STEM: Final = 32
#: Bytes: a wide map larger than the first is computed in stripes of the second, which stay in a CPU's cache.
_LARGE: Final = 8 << 20
_STRIPE: Final = 3 << 20


class _Group(NamedTuple):
    """Inverted residuals of one width; the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_GROUPS: Final = (
    _Group(1, 3, 1, 1, 16), _Group(2, 3, 2, 6, 24), _Group(2, 5, 2, 6, 40), _Group(3, 3, 2, 6, 80),
    _Group(3, 5, 1, 6, 112), _Group(4, 5, 2, 6, 192), _Group(1, 3, 1, 6, 320),
)  # fmt: skip
#: Groups of each stage C1..C5.
_STAGES: Final = ((0,), (1,), (2,), (3, 4), (5, 6))
#: Factors of width and depth.
_SCALES: Final[dict[Variant, tuple[float, float]]] = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}


class ConvNorm(nn.Module):
    """Convolution with "same" padding, batch norm and, where asked for, ReLU6."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv: nn.Conv2d = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels, eps=_EPS)
        self.active = active

    def convolve(self, x: Tensor) -> Tensor:
        """Apply the convolution alone."""
        if self.folded:
            return convolve_padded(self.conv, x, self._sides(x))
        if self.conv.stride != (1, 1):
            x = F.pad(x, same_padding(x, self.conv.kernel_size[0], self.conv.stride[0]))
        if self.conv.groups > 1 and self.training and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):  # the way back of a depthwise bf16 one takes three times as long
                slow_in_bf16: Tensor = self.conv(x.float())
            return slow_in_bf16
        y: Tensor = self.conv(x)
        return y

    def finish(self, convolved: Tensor) -> Tensor:
        """Apply what follows the convolution."""
        y: Tensor = self.norm(convolved)
        return F.relu6(y, inplace=True) if self.active else y

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to (B,C',h/stride,w/stride)."""
        if self.folded and self.active:
            return convolve_relu6(self.conv, x, self._sides(x))
        return self.finish(self.convolve(x))

    @property
    def folded(self) -> bool:
        """The batch norm is part of the convolution: the layer is ready for inference."""
        return isinstance(self.norm, nn.Identity)

    def _sides(self, x: Tensor) -> tuple[int, int, int, int] | None:
        """Zeros at the sides of (B,C,h,w) that the convolution does not add itself."""
        stride = self.conv.stride[0]
        return None if stride == 1 else same_padding(x, self.conv.kernel_size[0], stride)

    def fold(self) -> None:
        """Fold the batch norm (in eval mode) into the convolution, in place."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = FrozenConvolution(fuse_conv_bn_eval(self.conv, self.norm))
            self.norm = nn.Identity()


class InvertedResidual(nn.Module):
    """1x1 convolution to a larger width, depthwise convolution, 1x1 back (MobileNetV2)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = None if expansion == 1 else ConvNorm(in_channels, hidden, 1)
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, out_channels, 1, active=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to (B,C',h/stride,w/stride)."""
        if self.expand is not None and self._is_large(x):
            y = self._in_stripes(self.expand, x)
        else:
            y = self.project(self.depthwise(x if self.expand is None else self.expand(x)))
        return x + y if self.residual else y

    def _is_large(self, x: Tensor) -> bool:
        """Return True where stripes are faster: on CPUs, ready for inference, with wide maps that fill the cache."""
        if x.device.type != "cpu" or torch.is_grad_enabled() or not self.depthwise.folded:
            return False
        return self.depthwise.conv.in_channels * x[:, 0].numel() * x.element_size() > _LARGE

    def _in_stripes(self, expand: ConvNorm, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to (B,C',h/stride,w/stride) with the wide maps of some rows at a time."""
        conv, height = self.depthwise.conv, x.shape[2]
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        left, right, top, _ = same_padding(x, kernel, stride)
        rows = max(1, _STRIPE // (stride * conv.in_channels * x[:, 0, 0].numel() * x.element_size()))
        parts = []
        for first in range(0, math.ceil(height / stride), rows):
            last = min(first + rows, math.ceil(height / stride)) - 1
            begin, end = first * stride - top, last * stride - top + kernel
            hidden = expand(x[:, :, max(begin, 0) : min(end, height)])
            if begin < 0 or end > height:
                hidden = F.pad(hidden, (0, 0, max(-begin, 0), max(end - height, 0)))
            parts.append(self.project(convolve_relu6(conv, hidden, (left, right, 0, 0))))
        return torch.cat(parts, dim=2)


class EfficientNetLite(nn.Module):
    """The stages C1 (stride 2) to C5 (stride 32), or the first few of them.

    Args:
        variant: `lite0` or `lite2`.
        stages: how many stages to build, 1 to 5.
        exact_start: when ready for inference, compute the stem and C1 in float32, also under autocast: what is rounded
            there, above all the weights of C1's depthwise convolution, shifts whole surfaces of one colour.
    """

    def __init__(self, variant: Variant = "lite0", *, stages: int = 5, exact_start: bool = False) -> None:
        super().__init__()
        self.exact_start = exact_start
        self.stem = ConvNorm(3, _STEM, 3, stride=2)
        self.stages = nn.ModuleList()
        widths, before = [], _STEM
        for groups in _STAGES[:stages]:
            blocks: list[nn.Module] = []
            for group in (_GROUPS[index] for index in groups):
                channels, repeats = _scaled(group, variant)
                for repeat in range(repeats):
                    stride = group.stride if repeat == 0 else 1
                    blocks.append(InvertedResidual(before, channels, group.kernel, stride, group.expansion))
                    before = channels
            self.stages.append(nn.Sequential(*blocks))
            widths.append(before)
        self.widths = tuple(widths)
        self.variant: Variant = variant
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images (B,3,H,W), normalised with `MEAN` and `STD`, to the stages' outputs (B,C,H/s,W/s)."""
        if not (self.exact_start and self.stem.folded):
            return self._after_stem(self.stem(images))
        with torch.autocast(images.device.type, enabled=False):
            first = self.stages[0](self.stem(images.float()))
        return self._after_first([first])

    def after_stem(self, convolved: Tensor) -> list[Tensor]:
        """Run everything after the stem's convolution (B,32,H/2,W/2)."""
        return self._after_stem(self.stem.finish(convolved))

    def exact_layers(self) -> Sequence[nn.Module]:
        """Return the layers that stay in float32."""
        return (self.stem, self.stages[0]) if self.exact_start else ()

    def _after_stem(self, x: Tensor) -> list[Tensor]:
        return self._after_first([self.stages[0](x)])

    def _after_first(self, features: list[Tensor]) -> list[Tensor]:
        for stage in self.stages[1:]:
            features.append(stage(features[-1]))
        return features


def same_padding(x: Tensor, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's "same" padding of (B,C,h,w): (left, right, top, bottom), the odd cell at the right and bottom."""
    sides = []
    for length in (x.shape[3], x.shape[2]):
        total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
        sides += [total // 2, total - total // 2]
    return sides[0], sides[1], sides[2], sides[3]


def imagenet_names(network: EfficientNetLite) -> dict[str, str]:
    """Map each weight of a network to its name in the published ImageNet state dict."""
    names = {}
    for ours in network.state_dict():
        head, _, rest = ours.partition(".")
        if head == "stem":
            layer, _, tensor = rest.partition(".")
            names[ours] = f"{'_conv_stem' if layer == 'conv' else '_bn0'}.{tensor}"
    index = 0
    for number, stage in enumerate(network.stages):
        assert isinstance(stage, nn.Sequential)
        for position, block in enumerate(stage):
            norms = iter(("_bn0", "_bn1", "_bn2") if block.expand is not None else ("_bn1", "_bn2"))
            for part in ("expand", "depthwise", "project"):
                layer = getattr(block, part)
                if layer is None:
                    continue
                norm = next(norms)
                for tensor in layer.state_dict():
                    kind, _, name = tensor.partition(".")
                    theirs = f"_{part}_conv" if kind == "conv" else norm
                    names[f"stages.{number}.{position}.{part}.{tensor}"] = f"_blocks.{index}.{theirs}.{name}"
            index += 1
    return names


def _scaled(group: _Group, variant: Variant) -> tuple[int, int]:
    """Channels (a multiple of 8) and repeats of a group; the Lite variants leave the first and last group's depth."""
    width, depth = _SCALES[variant]
    channels = max(8, int(group.channels * width + 4) // 8 * 8)
    if channels < 0.9 * group.channels * width:
        channels += 8
    fixed = group in (_GROUPS[0], _GROUPS[-1])
    return channels, group.repeats if fixed else math.ceil(group.repeats * depth)
