"""Winograd's algorithm against the convolutions that it stands for.

Covers: layers.winograd
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vossegcli.layers import winograd
from vossegcli.layers.blocks import partial_conv
from vossegcli.layers.fused_convolutions import convolve_add_relu, convolve_relu
from vossegcli.layers.inference import inference_copy
from vossegcli.layers.winograd import NARROWEST, WinogradConv2d, use_winograd


@pytest.fixture
def stripes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the stripes that are convolved from now on."""
    found: list[tuple[int, ...]] = []
    convolve = WinogradConv2d._stripe

    def noted(self: WinogradConv2d, around: Tensor, *others: object) -> Tensor:
        found.append(tuple(around.shape))
        return convolve(self, around, *others)

    monkeypatch.setattr(WinogradConv2d, "_stripe", noted)
    return found


def layers(**changes: object) -> nn.Conv2d:
    torch.manual_seed(0)
    settings: dict = {"in_channels": 64, "out_channels": 72, "kernel_size": 3, "padding": 1} | changes
    return nn.Conv2d(**settings).requires_grad_(requires_grad=False)


def assert_alike(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("shape", "count"),
    [((1, 16, 16), 4), ((3, 9, 21), 9), ((5, 5, 7), 2), ((2, 33, 6), 6), ((1, 4, 64), 1), ((5, 4, 16), 5)],
)
def test_it_is_the_convolution_in_stripes_too(
    shape: tuple[int, int, int],
    count: int,
    layout: torch.memory_format,
    bias: bool,  # noqa: FBT001
    stripes: list[tuple[int, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(winograd, "_STRIPE", 6 if shape != (5, 5, 7) else 12)  # 2x2 tiles: three images at once
    conv = layers(bias=bias)
    x = 5.0 * torch.randn(shape[0], 64, *shape[1:]).contiguous(memory_format=layout)
    twin = WinogradConv2d(conv)
    with torch.inference_mode():
        assert_alike(twin(x), conv(x))
        assert len(stripes) == count
        assert_alike(convolve_relu(twin, x), conv(x).relu())
        assert twin(x).is_contiguous(memory_format=torch.channels_last)
        other = torch.randn_like(conv(x))
        assert_alike(convolve_add_relu(twin, x, other), (conv(x) + other).relu())


@torch.inference_mode()
def test_partial_convolutions_add_up(stripes: list[tuple[int, ...]]) -> None:
    conv = layers(in_channels=132)
    x = torch.randn(1, 132, 16, 18)
    twin = WinogradConv2d(conv)
    parts = [partial_conv(twin, x[:, :64], 0), partial_conv(twin, x[:, 64:128], 64, with_bias=True)]
    assert len(stripes) == 2
    parts.append(partial_conv(twin, x[:, 128:], 128))  # too few channels
    assert len(stripes) == 2
    assert_alike(sum(parts), conv(x))


def test_what_does_not_suit_is_convolved_directly(stripes: list[tuple[int, ...]]) -> None:
    conv = layers()
    twin = WinogradConv2d(conv)
    x = torch.randn(1, 64, 16, 16)
    with torch.no_grad():
        small = x[:, :, :12, :16]  # few tiles
        torch.testing.assert_close(twin(small), conv(small), rtol=0.0, atol=0.0)
        with torch.autocast("cpu", torch.bfloat16):
            assert convolve_relu(twin, x).dtype == torch.bfloat16
            assert partial_conv(twin, x, 0).dtype == torch.bfloat16
    twin(x.requires_grad_()).sum().backward()
    assert not stripes
    assert "kernels" not in twin.__dict__, "memory that nothing needs"
    with torch.no_grad():
        twin(x)
    assert len(stripes) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 2}, {"groups": 2, "out_channels": 64}, {"dilation": 2, "padding": 2}, {"padding": 0},
        {"kernel_size": 5, "padding": 2}, {"in_channels": NARROWEST - 1}, {"out_channels": NARROWEST - 1},
        {"dtype": torch.bfloat16}, {"device": "meta"}, {"padding_mode": "reflect"},
    ],
)  # fmt: skip
def test_other_convolutions_stay_as_they_are(changes: dict[str, object]) -> None:
    network = nn.Sequential(layers(**changes), layers(padding="same"))
    use_winograd(network)
    assert type(network[0]) is nn.Conv2d
    assert type(network[1]) is WinogradConv2d


def test_copies_for_inference_in_float32_use_it(stripes: list[tuple[int, ...]]) -> None:
    network = nn.Sequential(layers(), nn.BatchNorm2d(72), nn.ReLU(), layers(in_channels=72)).eval()
    copied = inference_copy(network)
    assert list(copied.state_dict()) == ["0.conv.weight", "0.conv.bias", "3.weight", "3.bias"]
    x = torch.randn(2, 64, 16, 16)
    with torch.no_grad():
        assert_alike(copied(x), network(x))
        assert_alike(inference_copy(copied)(x), network(x))
    assert len(stripes) == 4
    assert not any(isinstance(part, WinogradConv2d) for part in network.modules())
    coarse = inference_copy(network, torch.bfloat16)
    assert not any(isinstance(part, WinogradConv2d) for part in coarse.modules())
