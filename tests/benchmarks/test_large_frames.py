"""The discs of the benchmark of large frames."""

import importlib
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def large_frames(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("large_frames")


@pytest.mark.parametrize("objects", [1, 5, 20, 50])
def test_all_discs_are_in_the_frame_and_apart(large_frames, objects: int) -> None:
    first, later = (large_frames.discs((216, 384), objects, index) for index in (0, 3))
    assert set(np.unique(first)) == set(range(objects + 1))
    areas = np.bincount(first.ravel())[1:]
    assert areas.max() < 1.2 * areas.min(), "none is covered or cut"
    assert (first != later).any()
    assert large_frames.picture(first).shape == (216, 384, 3)
