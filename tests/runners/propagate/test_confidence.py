"""Confidence rows and which frames to look at."""

import math
from pathlib import Path

import numpy as np
import pytest

from vossegcli.errors import DeviceError
from vossegcli.io.records.run_records import ItemState, append_jsonl
from vossegcli.runners.propagate.confidence import confidence_rows, mark_reviews, score, write_confidence


def _row(index: int, area: int, doubt: float, object_id: int = 1) -> dict[str, object]:
    return {
        "index": index,
        "frame": f"f{index}",
        "object": object_id,
        "area": area,
        "uncertainty": doubt,
        "agreement": 1.0 - doubt,
    }


def test_rows_hold_area_uncertainty_and_agreement() -> None:
    label_map = np.array([[0, 3, 3], [0, 3, 0]], np.uint16)
    rows = confidence_rows(4, "x", (3, 400, 7), label_map, [0.25, 1.0, 1.0], [0.8, 0.0, 0.0], [0.9, 0.3, 0.001])
    assert [(row["object"], row["area"]) for row in rows] == [(3, 3), (400, 0), (7, 0)]
    assert [row["uncertainty"] for row in rows] == [0.25, 0.6, 0.002]
    assert [row["agreement"] for row in rows] == [0.8, 0.4, 0.998]
    assert not any(row["given"] for row in rows)
    rows = confidence_rows(4, "x", (3, 7), label_map, [0.0, 0.0], [1.0, 1.0], [1.0, 0.0], {3})
    assert [row["given"] for row in rows] == [True, False]


def test_the_score_falls_with_doubt_disagreement_and_jumps() -> None:
    best = score(0.0, 1.0, 0.0)
    assert 0.0 < score(1.0, 0.0, 9.0) < 0.1 < 0.9 < best < 1.0
    assert best > score(0.3, 1.0, 0.0) > score(0.3, 0.5, 0.0) > score(0.3, 0.5, 1.0)


@pytest.mark.parametrize(("unsure", "peak"), [(math.nan, 0.5), (0.5, math.inf)])
def test_values_that_are_not_finite_are_an_error(unsure: float, peak: float) -> None:
    with pytest.raises(DeviceError, match="frame x, object 1: .* not finite"):
        confidence_rows(0, "x", (1,), np.ones((2, 2), np.uint8), [unsure], [1.0], [peak])


def test_a_low_score_or_a_jump_in_area_asks_for_a_look() -> None:
    rows = [
        _row(3, 100, 0.1),
        _row(1, 100, 0.1),
        _row(0, 100, 0.0),
        _row(2, 400, 0.1),
        _row(4, 100, 0.8),
        _row(5, 0, 0.01),
    ]
    marked = mark_reviews(rows)
    assert [row["index"] for row in marked] == [0, 1, 2, 3, 4, 5]
    assert [row["review"] for row in marked] == ["no", "no", "yes", "yes", "yes", "yes"]


def test_a_given_mask_needs_no_look_but_the_frame_before_it_that_differs_does() -> None:
    """Whoever corrects a frame would find it in the list again."""
    rows = [_row(0, 100, 0.0), _row(1, 90, 0.1), _row(2, 400, 0.0), _row(3, 390, 0.1), _row(4, 380, 0.0)]
    for index in (0, 2, 4):
        rows[index]["given"] = True
    marked = mark_reviews(rows)
    assert [row["review"] for row in marked] == ["no", "yes", "no", "no", "no"]
    assert {row["score"] for row in marked[::2]} == {round(score(0.0, 1.0, 0.0), 4)}
    assert marked[1]["score"] < marked[3]["score"]


def test_objects_are_compared_with_themselves() -> None:
    marked = mark_reviews([_row(0, 10, 0.0, 1), _row(0, 900, 0.0, 2), _row(1, 11, 0.0, 1), _row(1, 880, 0.0, 2)])
    assert [row["review"] for row in marked] == ["no"] * 4


def test_the_worst_frames_of_all_sequences_are_named_first(tmp_path: Path) -> None:
    append_jsonl(ItemState(tmp_path, "a").rows, *(_row(i, 10, 1.0 - 0.1 * i) for i in range(6)))
    append_jsonl(ItemState(tmp_path, "b\udce9").rows, _row(0, 10, 0.95), _row(1, 10, 0.05))
    worst = write_confidence(tmp_path, ["a", "b\udce9", "never run"])
    assert [(row["sequence"], row["frame"]) for row in worst] == [
        ("a", "f0"), ("b\udce9", "f0"), ("a", "f1"), ("a", "f2"), ("a", "f3"),
    ]  # fmt: skip
    content = (tmp_path / "confidence.csv").read_bytes()
    assert content.count(b"\n") == 1 + 8
    sure = round(score(0.05, 0.95, 0.0), 4)
    assert f"f1,1,10,0.05,0.95,{sure},no".encode() in content
    assert b"b\xe9,f1" in content  # a name that is not UTF-8 keeps its bytes
