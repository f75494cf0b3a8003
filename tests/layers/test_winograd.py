"""Winograd's algorithm against the convolutions that it stands for.

Covers: layers.winograd
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vossegcli.layers import winograd
from vossegcli.layers.inference import inference_copy
from vossegcli.layers.winograd import WinogradReLU, use_winograd


def network(**changes: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(8, 12, 3, padding=1, **changes), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 4, 1)
    )
    return inference_copy(layers)


def counted(layer: WinogradReLU, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Stripes that the layer convolves itself from now on."""
    stripes: list[torch.Tensor] = []
    convolve = layer._convolve
    monkeypatch.setattr(layer, "_convolve", lambda x, result: stripes.append(x) or convolve(x, result))
    return stripes


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [(4, 4), (8, 20), (12, 8)])
@torch.inference_mode()
def test_it_is_the_convolution_in_stripes_too(
    size: tuple[int, int], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "_STRIPE", 4)
    layers = network()
    x = 5.0 * torch.randn(batch, 8, *size)
    expected = layers(x)
    use_winograd(layers)
    stripes = counted(layers[0], monkeypatch)
    torch.testing.assert_close(layers(x), expected, rtol=1e-4, atol=1e-4)
    assert len(stripes) == batch * {4: 1, 20: 2, 8: 2}[size[1]]
    torch.testing.assert_close(layers(x.contiguous(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4)


def test_what_it_does_not_fit_is_convolved_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = network()
    expected = layers(torch.ones(1, 8, 6, 8))
    use_winograd(layers)
    stripes = counted(layers[0], monkeypatch)
    with torch.no_grad():
        torch.testing.assert_close(layers(torch.ones(1, 8, 6, 8)), expected)  # a side that is no multiple of 4
        with torch.autocast("cpu", torch.bfloat16):
            assert layers(torch.ones(1, 8, 8, 8)).dtype == torch.bfloat16
    layers(torch.ones(1, 8, 8, 8, requires_grad=True)).sum().backward()
    assert not stripes


@pytest.mark.parametrize("changes", [{"stride": 2}, {"groups": 4}, {"dilation": 2}])
def test_other_convolutions_stay_as_they_are(changes: dict[str, int]) -> None:
    layers = network(**changes)
    use_winograd(layers)
    assert not any(isinstance(part, WinogradReLU) for part in layers.modules())
    for other in (network().to(torch.bfloat16), network().to("meta")):  # another type, another device
        use_winograd(other)
        assert not any(isinstance(part, WinogradReLU) for part in other.modules())
    plain = network()
    use_winograd(plain)
    use_winograd(plain)
    assert isinstance(plain[0], WinogradReLU)
    assert not isinstance(plain[0].direct, WinogradReLU), "once is enough"
