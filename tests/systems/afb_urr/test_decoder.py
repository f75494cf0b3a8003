"""Decoder.

Covers: layers.blocks
"""

import math

import pytest
import torch
from torch.nn import functional

from vossegcli.layers.blocks import conv3x3, lead_of_second, partial_conv
from vossegcli.systems.afb_urr.decoder import (
    CLASSES_AT_ONCE,
    LARGEST,
    Decoder,
    in_windows,
    local_reference,
    two_largest,
    uncertainty,
)
from vossegcli.systems.afb_urr.encoders import Pyramid


def test_uncertainty_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.8], [0.5, 0.1], [0.0, 0.1]]).view(1, 3, 1, 2)
    unsure = uncertainty(probs)[0, 0, 0]
    assert unsure.tolist() == pytest.approx([1.0, math.exp(1.0 - 8.0)], rel=1e-5)


def test_local_reference_is_a_weighted_mean_of_the_window() -> None:
    features = torch.zeros(1, 1, 1, 9, 9)
    features[..., 4, 4] = 6.0
    features[..., 4, 5] = 2.0
    probs = torch.zeros(1, 1, 1, 9, 9)
    probs[..., 4, 4] = 0.25
    probs[..., 4, 5] = 0.75
    reference = local_reference(features, probs)[0, 0, 0]
    assert float(reference[4, 4]) == pytest.approx((6.0 * 0.25 + 2.0 * 0.75) / 1.0, rel=1e-4)
    assert float(reference[0, 0]) == 0.0  # nothing of the object within 3 pixels


@pytest.mark.parametrize("size", [(12, 9), (7, 1), (2, 20)])
def test_windows_agree_with_pooling(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(in_windows(x, torch.add, 0.0), 49.0 * functional.avg_pool2d(x, 7, 1, 3))
    assert torch.equal(in_windows(x, torch.maximum, 0.0), functional.max_pool2d(x, 7, 1, 3))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_local_reference_is_the_same_in_both_layouts(precision: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    features, probs = torch.rand(2, 5, 9, 11, generator=generator), torch.rand(2, 3, 1, 9, 11, generator=generator)
    plain = local_reference(features.to(precision).unsqueeze(1), probs)
    last = local_reference(features.to(precision, memory_format=torch.channels_last).unsqueeze(1), probs)
    torch.testing.assert_close(last, plain)


def test_groups_of_classes_change_nothing() -> None:
    torch.manual_seed(0)
    decoder = Decoder((6, 3, 0), (4, 5, 7), 8, 4, 0, light_skips=False).eval()
    pyramid = Pyramid(*(torch.rand(1, c, n, n) for c, n in ((4, 16), (5, 8), (7, 4), (9, 2))))
    skips = decoder.skips(pyramid, torch.rand(1, 3, 2, 2))
    match = torch.rand(1, CLASSES_AT_ONCE + 3, 6, 2, 2)
    both = decoder(match, skips)
    small = decoder(match[:, : CLASSES_AT_ONCE - 1], skips)
    assert both.shape == (1, CLASSES_AT_ONCE + 3, 32, 32)
    assert float(both.detach().abs().max()) <= LARGEST
    assert not torch.allclose(both[:, : CLASSES_AT_ONCE - 1], small)  # classes compete: a subset differs
    order = torch.randperm(match.shape[1])
    torch.testing.assert_close(decoder(match[:, order], skips), both[:, order], rtol=1e-4, atol=1e-5)


def test_two_largest_agree_with_a_sort() -> None:
    probs = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    first, second = two_largest(probs)
    assert torch.equal(torch.cat([first, second], dim=1), probs.topk(2, dim=1).values)


def test_partial_convolutions_add_up_to_the_convolution() -> None:
    torch.manual_seed(0)
    conv = conv3x3(7, 4)
    torch.nn.init.normal_(conv.bias)
    x = torch.rand(2, 7, 5, 6)
    parts = partial_conv(conv, x[:, :3], 0) + partial_conv(conv, x[:, 3:], 3, with_bias=True)
    torch.testing.assert_close(parts, conv(x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(5, 6), (1, 1), (2, 9)])
def test_lead_of_the_second_output(size: tuple[int, int], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    conv = conv3x3(7, 2)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(3, 7, *size).contiguous(memory_format=layout)
    with torch.no_grad():
        lead = lead_of_second(conv, x)
    torch.testing.assert_close(lead, lead_of_second(conv, x).detach(), msg="with gradients, it is the convolution")
    torch.testing.assert_close(lead, (conv(x)[:, 1:] - conv(x)[:, :1]).detach())
