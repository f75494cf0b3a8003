import pytest
import torch

from vossegcli.ops.padding import Padding, centred_padding, pad, trailing_padding, unpad


def test_padding_is_centred_and_the_odd_pixel_goes_right_and_down() -> None:
    assert centred_padding(480, 854, 16) == Padding(5, 5, 0, 0)
    assert centred_padding(237, 419, 16) == Padding(6, 7, 1, 2)


@pytest.mark.parametrize("size", [(1, 1), (16, 32), (17, 31), (237, 419)])
def test_unpad_undoes_pad(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    padding = centred_padding(*size, 16)
    padded = pad(image, padding)
    assert padded.shape[-2] % 16 == padded.shape[-1] % 16 == 0
    assert torch.equal(unpad(padded, padding), image)
    assert float(padded.sum()) == pytest.approx(float(image.sum()), rel=1e-5)


def test_trailing_padding_goes_right_and_down() -> None:
    assert trailing_padding(237, 419, 32) == Padding(0, 29, 0, 19)
    assert trailing_padding(64, 96, 32) == Padding(0, 0, 0, 0)
