"""Confidence of the masks: a row per frame and object, and the frames that a person should look at first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import DeviceError
from vossegcli.io.records.run_records import ItemState, read_jsonl
from vossegcli.io.records.tables import write_csv

FIELDS = ("sequence", "frame", "object", "area", "uncertainty", "agreement", "score", "review")
#: A person should look at an object below this score, or whose area changes at once by more than this ratio.
REVIEW_SCORE = 0.6
REVIEW_AREA_RATIO = 1.7
#: Weights of the logit of the score, set by hand: uncertainty and jumps of the area lower it, agreement raises it. The
#: bias was set by real videos made harder (`benchmarks/selection.py --hard`): 93 % of the masks with J below 0.5 are
#: marked for review, and 6 % of the others.
BIAS, OF_UNCERTAINTY, OF_AGREEMENT, OF_JUMP = -1.3, -6.0, 6.0, -1.5
LARGEST_JUMP = 2.0
NAMED_FRAMES = 5


def confidence_rows(
    index: int,
    name: str,
    ids: Sequence[int],
    label_map: npt.NDArray[np.integer],
    uncertainty: Sequence[float],
    agreement: Sequence[float],
    peaks: Sequence[float],
    given: Container[int] = (),
) -> list[dict[str, Any]]:
    """Rows of one frame: area in pixels, mean uncertainty of the object's pixels, agreement with the annotated frames.

    An object without pixels has uncertainty 1 where its probability is unclear somewhere, and 0 where it is
    nowhere probable: the network then is sure that the object is not there. It has nothing that could agree; its
    agreement is 1 - uncertainty.

    Args:
        index: of the frame.
        name: of the frame.
        ids: the K objects.
        label_map: (H,W) ids.
        uncertainty: (K,) in [0, 1].
        agreement: (K,) in [0, 1].
        peaks: (K,) largest probability of each object.
        given: objects that a person drew on this frame, or said to be gone.

    Raises:
        DeviceError: a value is not finite.
    """
    areas = _pixels_of_ids(label_map, max(ids))
    rows = []
    for object_id, unsure, agreed, peak in zip(ids, uncertainty, agreement, peaks, strict=True):
        if not all(map(math.isfinite, (unsure, agreed, peak))):
            where = f"frame {name}, object {object_id}"
            raise DeviceError("the network gave values that are not finite", where=where, fix="use --precision fp32")
        area = areas[object_id]
        doubt = unsure if area else min(1.0, 2.0 * peak)
        rows.append({
            "index": index, "frame": name, "object": object_id, "area": area,
            "uncertainty": round(doubt, 4), "agreement": round(agreed if area else 1.0 - doubt, 4),
            "given": object_id in given,
        })  # fmt: skip
    return rows


def _pixels_of_ids(label_map: npt.NDArray[np.integer], largest: int) -> Sequence[int]:
    """Count the pixels of each id from 0 to the largest one of a label map (H,W)."""
    if label_map.dtype == np.uint8:  # six times as fast as NumPy, which makes 64-bit integers of them first
        counts: list[int] = Image.fromarray(label_map).histogram()
        return counts
    return [int(count) for count in np.bincount(label_map.ravel(), minlength=largest + 1)]


def score(uncertainty: float, agreement: float, jump: float) -> float:
    """Return how probable it is that a mask is good, in [0, 1].

    Args:
        uncertainty: of the row.
        agreement: of the row.
        jump: from `area_jump`.
    """
    logit = BIAS + OF_UNCERTAINTY * uncertainty + OF_AGREEMENT * agreement + OF_JUMP * jump
    return 1.0 / (1.0 + math.exp(-logit))


def area_jump(area: int, before: int) -> float:
    """Return the absolute logarithm of the ratio of an area to that of the frame before, at most `LARGEST_JUMP`."""
    return min(abs(math.log((area + 1) / (before + 1))), LARGEST_JUMP)


def mark_reviews(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the rows of a sequence by frame, score them and say which deserve a look (`review` = yes or no).

    Where the area jumps to that of a given mask, the frame before it is the doubtful one.
    """
    ordered = sorted(rows, key=lambda row: (row["index"], row["object"]))
    previous: dict[int, dict[str, Any]] = {}
    for row in ordered:
        before = previous.get(row["object"], row)
        jump = area_jump(row["area"], before["area"])
        if row.get("given") and not before.get("given"):
            before["jump"] = max(before["jump"], jump)
            _judge(before)
        row["jump"] = 0.0 if row.get("given") else jump
        _judge(row)
        previous[row["object"]] = row
    return ordered


def _judge(row: dict[str, Any]) -> None:
    """Score a row and say whether it deserves a look."""
    row["score"] = round(score(row["uncertainty"], row["agreement"], row["jump"]), 4)
    row["review"] = "yes" if row["jump"] > math.log(REVIEW_AREA_RATIO) or row["score"] < REVIEW_SCORE else "no"


def write_confidence(output: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Write `confidence.csv` for all sequences that have rows, and return the few frames to look at first.

    One sequence is in memory at a time.
    """
    worst: list[dict[str, Any]] = []

    def rows() -> Iterator[dict[str, Any]]:
        for name in names:
            marked = [{"sequence": name, **r} for r in mark_reviews(read_jsonl(ItemState(output, name).rows))]
            doubtful = [row for row in marked if row["review"] == "yes"]
            worst[:] = heapq.nsmallest(NAMED_FRAMES, worst + doubtful, key=lambda row: row["score"])
            yield from marked

    write_csv(output / "confidence.csv", FIELDS, rows())
    return [{field: row[field] for field in ("sequence", "frame", "object", "score")} for row in worst]
