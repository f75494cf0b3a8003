import pytest
import torch

from vossegcli.ops import scatter
from vossegcli.ops.masks import label_map_from_classes, log_odds, one_hot_classes
from vossegcli.ops.padding import Padding, centred_padding, pad, unpad
from vossegcli.ops.resize import working_size


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


def test_one_hot_and_back() -> None:
    label_map = torch.tensor([[0, 3], [300, 7]])
    classes = one_hot_classes(label_map, (3, 300))
    assert classes.tolist() == [[[1, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    assert label_map_from_classes(classes.argmax(dim=0), (3, 300)).tolist() == [[0, 3], [300, 0]]


def test_log_odds_are_clamped() -> None:
    values = log_odds(torch.tensor([0.0, 0.5, 0.75, 1.0]))
    assert values.tolist() == pytest.approx([-16.1181, 0.0, 1.0986, 15.9424], abs=0.2)
    assert bool(torch.isfinite(values).all())


def test_working_size_never_grows() -> None:
    assert working_size((480, 854), 480) == (480, 854)
    assert working_size((1080, 1920), 480) == (480, 853)
    assert working_size((100, 50), 480) == (100, 50)
    assert working_size((1080, 1920), None) == (1080, 1920)


def test_mean_by_index_by_hand() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 0.0]])
    means = scatter.mean_by_index_native(rows, torch.tensor([2, 2, 0]), 4)
    assert means.tolist() == [[10.0, 0.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]


def test_torch_scatter_gives_the_same() -> None:
    pytest.importorskip("torch_scatter", reason="extra 'scatter' is not installed")
    rows, index = torch.randn(500, 16), torch.randint(0, 40, (500,))
    torch.testing.assert_close(scatter.mean_by_index(rows, index, 50), scatter.mean_by_index_native(rows, index, 50))
