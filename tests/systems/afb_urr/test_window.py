"""The part of a frame in which objects can be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.systems.afb_urr.test_contract import WIDTHS
from vossegcli.errors import ConfigError
from vossegcli.systems.afb_urr.config import COMPACT, PUBLISHED
from vossegcli.systems.afb_urr.decoder import LARGEST, Decoder
from vossegcli.systems.afb_urr.encoders import Pyramid
from vossegcli.systems.afb_urr.window import decode_near, window_around

CELLS = (20, 30)


def cells(*places: tuple[int, int], size: tuple[int, int] = CELLS) -> Tensor:
    likely = torch.zeros(size, dtype=torch.bool)
    for row, column in places:
        likely[row, column] = True
    return likely


@pytest.mark.parametrize(
    ("likely", "first", "lengths"),
    [
        (cells((10, 10)), [7, 7], [8, 8]),
        (cells((10, 10), (12, 17)), [8, 8], [8, 12]),
        (cells((0, 29)), [0, 26], [4, 4]),
        (cells((0, 0), (19, 29)), [0, 0], [20, 30]),
        (cells((5, 1), size=(6, 3)), [2, 0], [4, 3]),
    ],
)
def test_a_window_has_a_margin_and_few_sizes(likely: Tensor, first: list[int], lengths: list[int]) -> None:
    window = window_around(likely)
    assert (window.first.tolist(), window.lengths.tolist()) == (first, lengths)
    inside = window.inside(tuple(likely.shape))
    assert inside[likely].all()
    assert int(inside.sum()) == lengths[0] * lengths[1]


def test_without_an_object_there_is_no_window() -> None:
    assert min(window_around(cells()).lengths) <= 0
    assert not window_around(cells()).inside(CELLS).any()


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    built = Decoder((6, 4, 0), (8, 10, 12), channels=8, local_channels=4, guidance_channels=1, light_skips=True).eval()
    for head in (built.pred2, built.local_pred2):
        torch.nn.init.normal_(head.weight, std=0.3)
    return built


def inputs(decoder: Decoder, guidance: Tensor) -> tuple[Tensor, object, None, Tensor, Tensor]:
    """What the decoder takes for two classes of one frame."""
    torch.manual_seed(1)
    height, width = CELLS

    def features(channels: int, scale: int) -> Tensor:
        return torch.randn(1, channels, scale * height, scale * width)

    pyramid = Pyramid(features(8, 8), features(10, 4), features(12, 2), features(12, 1))
    evidence = torch.randn(1, 2, 4 * height, 4 * width)
    return torch.randn(1, 2, 6, height, width), decoder.skips(pyramid, features(4, 1)), None, guidance, evidence


def around(row: int, column: int) -> Tensor:
    """Guidance (1,2,1,4h,4w) of an object in one cell."""
    guidance = torch.zeros(1, 2, 1, 4 * CELLS[0], 4 * CELLS[1])
    guidance[0, 1, 0, 4 * row + 2, 4 * column + 1] = 0.5
    guidance[:, 0] = 1.0 - guidance[:, 1]
    return guidance


def test_inside_the_decoder_works_as_ever_and_outside_is_background(decoder: Decoder) -> None:
    given = inputs(decoder, around(10, 10))
    whole, near = decoder(*given), decode_near(decoder, 0.1, *given)
    inside = torch.zeros(whole.shape[-2:], dtype=torch.bool)
    inside[7 * 16 : 15 * 16, 7 * 16 : 15 * 16] = True
    assert near.shape == whole.shape
    assert (near[0, 0][~inside] == LARGEST).all()
    assert (near[0, 1][~inside] == -LARGEST).all()
    centre = (0, slice(None), slice(10 * 16, 11 * 16), slice(10 * 16, 11 * 16))
    assert torch.allclose(near[centre], whole[centre], atol=0.1)
    assert whole[centre].std() > 0.3


def test_an_object_everywhere_is_decoded_as_ever(decoder: Decoder) -> None:
    guidance = around(0, 0).fill_(0.5)
    given = inputs(decoder, guidance)
    assert torch.equal(decode_near(decoder, 0.1, *given), decoder(*given))


def test_nothing_likely_is_nothing_found(decoder: Decoder) -> None:
    near = decode_near(decoder, 0.5, *inputs(decoder, around(10, 10)))
    assert (near[:, 0] == LARGEST).all()
    assert (near[:, 1] == -LARGEST).all()


def test_another_device_leaves_the_same_as_background(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs(decoder, around(10, 10))
    on_cpu = decode_near(decoder, 0.1, *given)
    monkeypatch.setattr("vossegcli.systems.afb_urr.window.works_in_parts", lambda _: False)
    elsewhere = decode_near(decoder, 0.1, *given)
    assert torch.equal(elsewhere[:, 1] == -LARGEST, on_cpu[:, 1] == -LARGEST)


def test_it_needs_masks_in_the_memory() -> None:
    with pytest.raises(ConfigError, match="decode_near needs masks"):
        replace(PUBLISHED, decode_near=0.1)
    with pytest.raises(ConfigError, match="decode_near is 1"):
        replace(COMPACT, **WIDTHS, decode_near=1.0)
