from __future__ import annotations

import numpy as np
import pytest

from vossegcli.ops.boxes import overlapping_pairs


@pytest.mark.parametrize("seed", range(5))
def test_pairs_equal_those_of_comparing_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (60, 2)).astype(np.float64)
    boxes = np.hstack([corners, corners + rng.integers(0, 9, (60, 2))])
    expected = [
        [i, j]
        for i in range(60)
        for j in range(i + 1, 60)
        if (boxes[i, :2] < boxes[j, 2:]).all() and (boxes[j, :2] < boxes[i, 2:]).all()
    ]
    assert expected
    assert overlapping_pairs(boxes).tolist() == expected


def test_boxes_that_touch_do_not_overlap() -> None:
    assert overlapping_pairs(np.array([[0, 0, 4, 4], [4, 0, 8, 4], [0, 4, 4, 8]], np.float64)).shape == (0, 2)


def test_no_boxes() -> None:
    assert overlapping_pairs(np.zeros((0, 4))).shape == (0, 2)
