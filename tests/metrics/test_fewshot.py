"""mIoU and FB-IoU: by hand and against HSNet's stored numbers."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from vossegcli.metrics.fewshot import (
    add_areas,
    background_iou,
    count_areas,
    foreground_iou,
    summarise,
)
from vossegcli.scores import Areas


def test_areas_by_hand() -> None:
    truth = np.array([[1, 1, 0, 0]], bool)
    predicted = np.array([[1, 0, 1, 0]], bool)
    assert count_areas(predicted, truth) == Areas(1, 1, 1, 1)
    assert count_areas(predicted, truth, void=np.array([[0, 1, 0, 1]], bool)) == Areas(1, 1, 0, 0)


def test_a_single_pixel_counts_and_nothing_counts_as_nothing() -> None:
    assert foreground_iou(Areas(1, 0, 0, 0)) == background_iou(Areas(0, 0, 0, 1)) == 1.0
    assert foreground_iou(Areas(0, 0, 0, 5)) == background_iou(Areas(5, 0, 0, 0)) == 0.0


def test_sums_do_not_lose_pixels() -> None:
    """A float32 sum stops at 2^24."""
    total = add_areas([Areas(2**24, 0, 0, 0), Areas(1, 0, 0, 0)])
    assert total.both == 2**24 + 1


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="masks of"):
        count_areas(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


@pytest.mark.shared
@pytest.mark.parametrize(("name", "void_ignored"), [("pascal_fold0", True), ("pascal_fold0_void_as_background", False)])
def test_numbers_of_hsnet(shared: Path, name: str, void_ignored: bool) -> None:
    folder = shared / "fixtures" / "fewshot"
    expected = json.loads((folder / "expected.json").read_text())[name]
    episodes = np.load(folder / "episodes.npz")
    by_class: dict[str, list[Areas]] = defaultdict(list)
    for i, class_id in enumerate(episodes["class_id"].tolist()):
        truth, predicted = episodes[f"gt_{i:03d}"], episodes[f"pred_{i:03d}"] == 1
        areas = count_areas(predicted, truth == 1, truth == 255 if void_ignored else None)
        if "per_episode" in expected:
            (i_bg, i_fg), (u_bg, u_fg) = expected["per_episode"][i]
            wrong = areas.only_predicted + areas.only_truth
            assert (areas.neither, areas.both) == (i_bg, i_fg)
            assert (areas.neither + wrong, areas.both + wrong) == (u_bg, u_fg)
        by_class[str(class_id)].append(areas)
    summed = {name: add_areas(areas) for name, areas in by_class.items()}
    numbers = summarise(summed)
    assert 100 * numbers["mIoU"] == pytest.approx(expected["mIoU"], abs=1e-4)
    assert 100 * numbers["FB-IoU"] == pytest.approx(expected["FB-IoU"], abs=1e-4)
    for class_id, iou in expected["per_class_IoU_fg"].items():
        assert 100 * foreground_iou(summed[class_id]) == pytest.approx(iou, abs=1e-4)


def test_a_class_that_occurs_nowhere_counts_as_zero() -> None:
    numbers = summarise({"cat": Areas(5, 0, 0, 5), "dog": Areas(0, 0, 0, 0)})
    assert numbers["mIoU"] == 0.5
    assert background_iou(Areas(0, 0, 0, 0)) == 0.0
