import pytest
import torch

from vossegcli.ops.masks import label_map_from_classes, log_odds, one_hot_classes


def test_one_hot_and_back() -> None:
    label_map = torch.tensor([[0, 3], [300, 7]])
    classes = one_hot_classes(label_map, (3, 300))
    assert classes.tolist() == [[[1, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    assert label_map_from_classes(classes.argmax(dim=0), (3, 300)).tolist() == [[0, 3], [300, 0]]


def test_log_odds_are_clamped() -> None:
    values = log_odds(torch.tensor([0.0, 0.5, 0.75, 1.0]))
    assert values.tolist() == pytest.approx([-16.1181, 0.0, 1.0986, 15.9424], abs=0.2)
    assert bool(torch.isfinite(values).all())
