"""Label maps of instances: numbers by hand, and those that StarDist 0.9.2 and Cellpose 4.2.1 gave for the same maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vossegcli.metrics.instance_maps import THRESHOLDS, label_map_numbers, match_label_maps

#: `matching_dataset_lazy(...).accuracy` of StarDist, and the mean over the images of Cellpose's `average_precision`.
STARDIST = (
    0.783333333, 0.597014925, 0.528571429, 0.426666667, 0.3375, 0.202247191, 0.126315789, 0.049019608, 0.019047619,
)  # fmt: skip
CELLPOSE = (
    0.785714269, 0.599652767, 0.540296078, 0.443181813, 0.345885485, 0.211078599, 0.127861723, 0.051573426, 0.022727273,
)  # fmt: skip


def discs(seed: int, count: int = 14, size: tuple[int, int] = (96, 120)) -> npt.NDArray[np.int32]:
    rng = np.random.default_rng(seed)
    ids = np.zeros(size, np.int32)
    for k in range(count):
        y, x = rng.integers(8, size[0] - 8), rng.integers(8, size[1] - 8)
        r = rng.integers(4, 10)
        rows, columns = np.ogrid[: size[0], : size[1]]
        ids[(rows - y) ** 2 + (columns - x) ** 2 < r * r] = k + 1
    return ids


def shifted(ids: npt.NDArray[np.int32], seed: int) -> npt.NDArray[np.int32]:
    rng = np.random.default_rng(seed)
    out = np.zeros_like(ids)
    for k in np.unique(ids)[1:]:
        if rng.random() < 0.15:
            continue
        out = np.where(np.roll(ids == k, tuple(rng.integers(-2, 3, 2)), (0, 1)), k * 3, out)
    return out


def test_numbers_of_the_published_tools() -> None:
    maps = [discs(seed) for seed in range(4)]
    numbers = label_map_numbers([match_label_maps(ids, shifted(ids, 100 + k)) for k, ids in enumerate(maps)])
    assert [numbers[f"AP@{t:.2f}"] for t in THRESHOLDS] == pytest.approx(STARDIST, abs=1e-8)
    assert [numbers[f"image AP@{t:.2f}"] for t in THRESHOLDS] == pytest.approx(CELLPOSE, abs=1e-6)
    assert (numbers["PQ"], numbers["SQ"], numbers["RQ"]) == pytest.approx(
        (0.62682114, 0.71350917, 0.87850467), abs=1e-7
    )


def test_by_hand() -> None:
    truth = np.array([[1, 1, 1, 0, 2, 2, 0, 3]])
    predicted = np.array([[7, 7, 0, 0, 9, 9, 0, 0]])  # IoU 2/3 and 1; 3 is missed
    numbers = label_map_numbers([match_label_maps(truth, predicted)])
    assert numbers["AP@0.50"] == pytest.approx(2 / 3)
    assert numbers["AP@0.70"] == pytest.approx(1 / 4)  # one pair, one false, two missed
    assert numbers["PQ"] == pytest.approx((2 / 3 + 1) / (2 + 0.5))
    assert numbers["SQ"] == pytest.approx((2 / 3 + 1) / 2)
    assert numbers["RQ"] == pytest.approx(2 / 2.5)


def test_as_many_pairs_as_possible_are_matched() -> None:
    """The second prediction overlaps both truths enough; it must leave the better one to the first."""
    truth = np.array([[1] * 10 + [2] * 10])
    predicted = np.array([[5] * 9 + [6] * 11])
    assert match_label_maps(truth, predicted, (0.5,)).pairs == (2,)


def test_empty_sides() -> None:
    nothing, one = np.zeros((4, 4), np.int32), np.ones((4, 4), np.int32)
    assert label_map_numbers([match_label_maps(nothing, nothing)])["AP@0.50"] == -1.0
    assert label_map_numbers([match_label_maps(nothing, one)])["AP@0.50"] == 0.0
    assert label_map_numbers([match_label_maps(one, nothing)])["PQ"] == 0.0
    both = label_map_numbers([match_label_maps(one, one), match_label_maps(nothing, nothing)])
    assert both["image AP@0.50"] == 1.0


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="pixels"):
        match_label_maps(np.zeros((4, 4), np.int32), np.zeros((4, 5), np.int32))
