"""3x3 convolutions by Winograd's algorithm, which needs a quarter of the multiplications.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016: F(4x4, 3x3). Tiles of 6x6 cells and the
kernels are transformed, multiplied cell by cell, and the products transformed to 4x4 cells of the result. Rounding
errors are ten times those of a direct convolution in float32, still 1e-5 of its values; bfloat16 is too coarse for it.

Shape letters: B images, C channels, h w cells, s rows of a stripe, t tiles.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.fused_convolutions import ConvolutionReLU

TILE = 4  # cells of the result; the kernel reaches one further on every side
_STRIPE = 128  # tiles at a time, which stay in a cache
_INPUT = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
_KERNEL = (
    (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
)  # fmt: skip
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradReLU(nn.Module):
    """`ConvolutionReLU` with transformed kernels beside it, for float32 on CPUs and sides that are multiples of 4."""

    kernels: Tensor
    to_tiles: Tensor
    from_tiles: Tensor

    def __init__(self, direct: ConvolutionReLU) -> None:
        super().__init__()
        self.direct = direct
        weight = direct.conv.weight.detach()
        self.register_buffer("kernels", transformed_kernels(weight))
        for name, rows in (("to_tiles", _INPUT), ("from_tiles", _OUTPUT)):
            self.register_buffer(name, _both_ways(rows).to(weight))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B,C,h,w) and cut off what is negative."""
        if not self._fits(x):
            y: Tensor = self.direct(x)
            return y
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        result = x.new_empty(len(x), *x.shape[2:], self.kernels.shape[2])  # (B,h,w,C')
        rows = TILE * max(1, _STRIPE * TILE // x.shape[3])
        for image, found in zip(padded, result, strict=True):
            for number, stripe in enumerate(found.split(rows)):
                self._convolve(image[number * rows : number * rows + len(stripe) + 2], stripe)
        return result.relu_().permute(0, 3, 1, 2)

    def _convolve(self, x: Tensor, result: Tensor) -> None:
        """Write the convolution of a padded stripe (s+2,w+2,C) to its place (s,w,C')."""
        tiles = x.unfold(0, TILE + 2, TILE).unfold(1, TILE + 2, TILE).permute(3, 4, 0, 1, 2)  # (6,6,t,t',C)
        moved = self.to_tiles @ tiles.reshape(len(self.to_tiles), -1)
        products = torch.bmm(moved.view(len(moved), -1, x.shape[2]), self.kernels)  # (36,t*t',C')
        cells = (self.from_tiles @ products.flatten(1)).view(TILE, TILE, *tiles.shape[2:4], -1)
        places = result.view(tiles.shape[2], TILE, tiles.shape[3], TILE, -1)
        bias = self.direct.conv.bias
        assert bias is not None
        torch.add(cells.permute(2, 0, 3, 1, 4), bias, out=places)

    def _fits(self, x: Tensor) -> bool:
        if x.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return False
        return x.dtype == self.kernels.dtype == torch.float32 and not (x.shape[2] % TILE or x.shape[3] % TILE)


def use_winograd(network: nn.Module) -> None:
    """Let the 3x3 convolutions with a ReLU of an `inference_copy` use Winograd's algorithm, in place."""
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, ConvolutionReLU) and not isinstance(part, WinogradReLU) and _is_plain(child.conv):
                setattr(part, name, WinogradReLU(child))


def transformed_kernels(weight: Tensor) -> Tensor:
    """Transform kernels (C',C,3,3) to (36,C,C')."""
    found = _both_ways(_KERNEL) @ weight.double().flatten(2).permute(2, 1, 0).flatten(1)
    return found.view(-1, weight.shape[1], weight.shape[0]).to(weight.dtype)


def _both_ways(rows: tuple[tuple[float, ...], ...]) -> Tensor:
    """A transform along rows and columns at once."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(matrix, matrix)


def _is_plain(conv: nn.Conv2d) -> bool:
    """Return True for a 3x3 convolution in float32, on a CPU, that keeps the size."""
    sizes = (conv.kernel_size, conv.stride, conv.dilation, conv.groups)
    if sizes != ((3, 3), (1, 1), (1, 1), 1) or conv.weight.dtype != torch.float32 or conv.weight.device.type != "cpu":
        return False
    return conv.bias is not None and conv.padding in {(1, 1), "same"} and conv.padding_mode == "zeros"
