"""3x3 convolutions by Winograd's algorithm, which needs a quarter of the multiplications.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016: F(4x4, 3x3). Tiles of 6x6 cells and the
kernels are transformed, multiplied cell by cell, and the products transformed to 4x4 cells of the result. Rounding
errors are ten times those of a direct convolution in float32, still 1e-5 of its values; bfloat16 is too coarse for it.

Shape letters: B images, C channels, h w cells, b images and t rows of u tiles of a stripe.
"""

from __future__ import annotations

import math
from functools import cache, cached_property
from typing import TypeGuard

import torch
from torch import Tensor, nn

TILE = 4  # cells of the result; the kernel reaches one further on every side
NARROWEST = 64  # channels of input and result; below, the transforms cost more than the products save
FEWEST = 16  # tiles; below, reading the kernels, which are four times as large, costs more
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
_ONES = 7  # the product (1, 1), which every cell of the result counts once

Spaces = tuple[Tensor, Tensor]


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution that keeps its transformed kernels for float32 on CPUs, from when they are first needed.

    Where it does not suit, it is the convolution that it was made of, with the same parameters.
    """

    def __init__(self, direct: nn.Conv2d) -> None:
        super().__init__(direct.in_channels, direct.out_channels, 3, padding=1, device="meta")
        self.weight, self.bias = direct.weight, direct.bias

    @cached_property
    def kernels(self) -> Tensor:
        """(36,C,C'), four times the memory of the weights, which must not change any more."""
        return transformed_kernels(self.weight.detach())

    def suits(self, x: Tensor) -> bool:
        """Return True where Winograd's algorithm is at hand and fast for (B,C,h,w)."""
        if x.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return False
        enough = x.shape[1] >= NARROWEST and len(x) * _tiles(x.shape[2]) * _tiles(x.shape[3]) >= FEWEST
        return enough and x.dtype == self.weight.dtype == torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B,C,h,w)."""
        return self.convolve(x) if self.suits(x) else super().forward(x)

    def convolve(self, x: Tensor, first: int = 0, *, with_bias: bool = True, relu: bool = False) -> Tensor:
        """Convolve some of the input channels where it suits.

        Args:
            x: (B,C,h,w), the input's channels `first` to `first + C - 1`.
            first: index of the first one.
            with_bias: add the bias.
            relu: cut off what is negative.

        Returns:
            (B,C',h,w), channels last.
        """
        cells = x.permute(0, 2, 3, 1)  # (B,h,w,C)
        batch, height, width, channels = cells.shape
        down, across = _tiles(height), _tiles(width)
        images, rows = min(batch, max(1, _STRIPE // (down * across))), min(down, max(1, _STRIPE // across))
        padded = cells.new_zeros(images, TILE * rows + 2, TILE * across + 2, channels)
        size = (TILE + 2) ** 2 * images * rows * across * max(channels, self.out_channels)
        spaces = (cells.new_empty(size), cells.new_empty(size))  # memory that was just written is the fastest
        kernels = self.kernels[:, first : first + channels]
        bias = self.bias if with_bias else None
        result = cells.new_empty(batch, TILE * down, TILE * across, self.out_channels)
        for some, found in zip(cells.split(images), result.split(images), strict=True):
            for number, stripe in enumerate(found.split(TILE * rows, dim=1)):
                around = padded[: len(some), : stripe.shape[1] + 2]
                _copy_rows(some, TILE * rows * number - 1, around)
                found_cells = self._stripe(around, kernels, bias, spaces)
                torch.clamp_min(found_cells, 0.0 if relu else -math.inf, out=stripe.view(found_cells.shape))
        return result[:, :height, :width].contiguous().permute(0, 3, 1, 2)

    def _stripe(self, around: Tensor, kernels: Tensor, bias: Tensor | None, spaces: Spaces) -> Tensor:
        """Convolve a stripe (b,4t+2,4u+2,C) to (b,t,4,u,4,C')."""
        side = TILE + 2
        windows = around.unfold(1, side, TILE).unfold(2, side, TILE).permute(4, 5, 0, 1, 2, 3)
        tiles = _part(spaces[0], *windows.shape).copy_(windows)  # (6,6,b,t,u,C)
        moved = _transformed(_matrix(_INPUT), tiles, spaces[::-1]).view(side**2, -1, kernels.shape[1])
        products = torch.bmm(moved, kernels, out=_part(spaces[1], side**2, moved.shape[1], kernels.shape[2]))
        if bias is not None:
            products[_ONES] += bias
        cells = _transformed(_matrix(_OUTPUT), products.unflatten(0, (side, side)), spaces)
        return cells.view(TILE, TILE, *tiles.shape[2:5], -1).permute(2, 3, 0, 4, 1, 5)


def takes_winograd(conv: nn.Conv2d, x: Tensor) -> TypeGuard[WinogradConv2d]:
    """Return True where a convolution has Winograd's algorithm, and it suits (B,C,h,w)."""
    return isinstance(conv, WinogradConv2d) and conv.suits(x)


def use_winograd(network: nn.Module) -> None:
    """Let the 3x3 convolutions of a network that suit it use Winograd's algorithm, in place."""
    for part in list(network.modules()):
        for name, child in part.named_children():
            if type(child) is nn.Conv2d and _is_plain(child):
                setattr(part, name, WinogradConv2d(child))


def transformed_kernels(weight: Tensor) -> Tensor:
    """Transform kernels (C',C,3,3) to (36,C,C')."""
    rows = torch.tensor(_KERNEL, dtype=torch.float64)
    found = torch.kron(rows, rows) @ weight.double().flatten(2).permute(2, 1, 0).flatten(1)
    return found.view(-1, weight.shape[1], weight.shape[0]).to(weight.dtype)


def _is_plain(conv: nn.Conv2d) -> bool:
    """Return True for a wide 3x3 convolution in float32, on a CPU, that keeps the size."""
    sizes = (conv.kernel_size, conv.stride, conv.dilation, conv.groups)
    if sizes != ((3, 3), (1, 1), (1, 1), 1) or min(conv.in_channels, conv.out_channels) < NARROWEST:
        return False
    on_cpu = conv.weight.device.type == "cpu" and conv.weight.dtype == torch.float32
    return on_cpu and conv.padding in {(1, 1), "same"} and conv.padding_mode == "zeros"


@cache
def _matrix(rows: tuple[tuple[int, ...], ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def _tiles(cells: int) -> int:
    return -(-cells // TILE)


def _part(space: Tensor, *shape: int) -> Tensor:
    """The beginning of some memory as a tensor."""
    return space[: math.prod(shape)].view(shape)


def _copy_rows(x: Tensor, first: int, rows: Tensor) -> None:
    """Copy the rows of (b,h,w,C) from `first` on into a stripe (b,s,w+2,C); zeros stand beyond them."""
    top, bottom = max(first, 0), min(first + rows.shape[1], x.shape[1])
    rows[:, : top - first] = 0.0
    rows[:, bottom - first :] = 0.0
    rows[:, top - first : bottom - first, 1 : x.shape[2] + 1] = x[:, top:bottom]


def _transformed(matrix: Tensor, x: Tensor, spaces: Spaces) -> Tensor:
    """Transform columns and rows of (m,m,...) by a matrix (n,m) to (n,n,c); the result lies in the second space."""
    count, side = matrix.shape
    half = torch.mm(matrix, x.reshape(side, -1), out=_part(spaces[0], count, x[0].numel()))
    there = _part(spaces[1], count, count, x[0, 0].numel())
    return torch.bmm(matrix.expand(count, -1, -1), half.view(count, side, -1), out=there)
