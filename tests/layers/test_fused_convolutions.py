"""Fused convolutions against the same steps one after the other.

Covers: layers.fused_convolutions, layers.efficientnet_lite
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from vossegcli.layers import efficientnet_lite, fused_convolutions
from vossegcli.layers.efficientnet_lite import ConvNorm, InvertedResidual, same_padding
from vossegcli.layers.fused_convolutions import (
    FrozenConvolution,
    convolve_add,
    convolve_add_relu,
    convolve_padded,
    convolve_relu,
    convolve_relu6,
)
from vossegcli.layers.inference import inference_copy

PRECISIONS = (torch.float32, torch.bfloat16)


def image(height: int, width: int, precision: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    pixels = 4.0 * torch.randn(2, 8, height, width, generator=generator)
    return pixels.to(precision).contiguous(memory_format=torch.channels_last)


def convolution(kernel: int, groups: int, precision: torch.dtype) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, kernel, stride=2, groups=groups).to(precision).requires_grad_(requires_grad=False)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(12, 16), (13, 16), (12, 15), (13, 15), (1, 2)])
@torch.no_grad()
def test_zeros_in_the_kernel_are_as_good_as_zeros_around_the_map(
    size: tuple[int, int], kernel: int, groups: int, precision: torch.dtype
) -> None:
    conv, x = convolution(kernel, groups, precision), image(*size, precision)
    sides = same_padding(x, kernel, 2)
    expected = conv(functional.pad(x, sides))
    exact = {"rtol": 1e-5, "atol": 1e-5} if precision == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    torch.testing.assert_close(convolve_padded(conv, x, sides), expected, **exact)
    torch.testing.assert_close(convolve_relu6(conv, x, sides), functional.relu6(expected), **exact)
    assert float(convolve_relu6(conv, x, sides).min()) == 0.0


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("fused", [True, False])
@torch.no_grad()
def test_a_sum_and_its_positive_part(precision: torch.dtype, fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fused:
        monkeypatch.setattr(fused_convolutions, "_has_fused", lambda _: False)
    conv, x = convolution(3, 1, precision), image(13, 16, precision)
    other = image(13, 16, precision)[:, :, :6, :7]
    convolved = functional.conv2d(x.float(), conv.weight.float(), conv.bias.float(), stride=2)
    near = {"rtol": 1e-5, "atol": 1e-5} if precision == torch.float32 else {"rtol": 1e-2, "atol": 3e-2}
    torch.testing.assert_close(convolve_relu(conv, x).float(), convolved.relu(), **near)
    torch.testing.assert_close(convolve_add_relu(conv, x, other).float(), (convolved + other.float()).relu(), **near)
    torch.testing.assert_close(convolve_add(conv, x, other).float(), convolved + other.float(), **near)
    assert torch.equal(other, image(13, 16, precision)[:, :, :6, :7])  # not changed


@pytest.mark.parametrize("precision", PRECISIONS)
def test_autocast_and_autograd_get_what_they_know(precision: torch.dtype) -> None:
    layer = ConvNorm(8, 8, 3, stride=2).eval().requires_grad_(requires_grad=False)
    layer.fold()
    x = image(12, 16, torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        assert layer(x).dtype == precision  # float32 weights
        layer.conv.to(precision)
        with torch.no_grad():
            assert layer(x).dtype == precision
        x.requires_grad_()
        layer(x).float().sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0.0


@torch.no_grad()
def test_without_the_fused_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = convolution(3, 1, torch.float32), image(12, 16, torch.float32)
    fused = convolve_relu6(conv, x, (0, 1, 0, 1))
    monkeypatch.setattr(fused_convolutions, "_has_fused", lambda _: False)
    torch.testing.assert_close(convolve_relu6(conv, x, (0, 1, 0, 1)), fused)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("stripe", [1, 12_000])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("size", [(16, 12), (15, 13)])
@torch.no_grad()
def test_stripes_of_large_maps_make_up_the_whole(
    size: tuple[int, int], kernel: int, stride: int, stripe: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    block = inference_copy(InvertedResidual(8, 8, kernel, stride, 6))
    x = torch.randn(batch, 8, *size).contiguous(memory_format=torch.channels_last)
    expected = block(x)
    monkeypatch.setattr(efficientnet_lite, "_LARGE", 0)
    monkeypatch.setattr(efficientnet_lite, "_STRIPE", stripe)
    heights: list[int] = []
    assert block.expand is not None
    block.expand.register_forward_hook(lambda _, __, wide: heights.append(wide.shape[2]))
    torch.testing.assert_close(block(x), expected)
    assert len(heights) > 1
    assert max(heights) < size[0]


@pytest.mark.parametrize("groups", [1, 8])
@torch.no_grad()
def test_weights_in_another_order_give_the_same(groups: int) -> None:
    plain = convolution(3, groups, torch.float32)
    frozen = FrozenConvolution(copy.deepcopy(plain))
    assert frozen.state_dict().keys() == plain.state_dict().keys()
    for precision, exact in ((torch.float32, 1e-5), (torch.bfloat16, 1e-2)):
        plain.to(precision), frozen.to(precision)
        for size in ((12, 16), (13, 15), (6, 4)):  # the zeros lie elsewhere where sides are odd
            x = image(*size, precision)
            sides = same_padding(x, 3, 2)
            expected = convolve_padded(plain, x, sides)
            for one in (frozen, frozen, copy.deepcopy(frozen)):
                torch.testing.assert_close(convolve_padded(one, x, sides), expected, rtol=exact, atol=exact)
                torch.testing.assert_close(
                    convolve_relu6(one, x, sides), functional.relu6(expected), rtol=exact, atol=exact
                )


@torch.no_grad()
def test_each_shape_of_maps_has_its_own_order_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order for another shape, oneDNN may take a hundred times as long."""
    if not fused_convolutions._has_fused(torch.float32):
        pytest.skip("this torch has no fused convolutions")
    order, shapes = torch.ops.mkldnn._reorder_convolution_weight, []

    def recorded(*arguments: Any) -> torch.Tensor:  # noqa: ANN401
        shapes.append(tuple(arguments[-1]))
        return order(*arguments)

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", recorded)
    frozen = FrozenConvolution(convolution(3, 1, torch.float32))
    sizes = [(12, 16), (12, 16), (20, 16), (12, 16), (20, 16), (20, 16)]
    for size in sizes:
        convolve_padded(frozen, image(*size, torch.float32), None)
    assert shapes == [(2, 8, 12, 16), (2, 8, 20, 16)]  # a shape that comes once is not worth it
    for height in range(30, 60):
        convolve_padded(frozen, image(height, 16, torch.float32), None)
    assert len(frozen._ordered) == fused_convolutions._MOST_SHAPES


def test_a_frozen_convolution_lets_gradients_through() -> None:
    frozen = FrozenConvolution(convolution(3, 1, torch.float32))
    x = image(12, 16, torch.float32).requires_grad_()
    convolve_relu6(frozen, x, same_padding(x, 3, 2)).sum().backward()
    assert x.grad is not None
