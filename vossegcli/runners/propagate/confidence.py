"""Confidence of the masks: a row per frame and object, and the frames that a person should look at first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.errors import DeviceError
from vossegcli.io.records.run_records import ItemState, read_jsonl
from vossegcli.io.records.tables import write_csv

FIELDS = ("sequence", "frame", "object", "area", "uncertainty", "score", "review")
#: A person should look at an object below this score, or whose area changes at once by more than this ratio.
REVIEW_SCORE = 0.6
REVIEW_AREA_RATIO = 1.7
NAMED_FRAMES = 5


def confidence_rows(
    index: int,
    name: str,
    ids: Sequence[int],
    label_map: npt.NDArray[np.integer],
    uncertainty: Sequence[float],
    peaks: Sequence[float],
) -> list[dict[str, Any]]:
    """Rows of one frame: area in pixels, mean uncertainty of the object's pixels, score = 1 - uncertainty.

    An object without pixels has uncertainty 1 where its probability is unclear somewhere, and 0 where it is
    nowhere probable: the network then is sure that the object is not there.

    Args:
        index: of the frame.
        name: of the frame.
        ids: the K objects.
        label_map: (H,W) ids.
        uncertainty: (K,) in [0, 1].
        peaks: (K,) largest probability of each object.

    Raises:
        DeviceError: a value is not finite.
    """
    areas = np.bincount(label_map.ravel(), minlength=max(ids) + 1)
    rows = []
    for object_id, unsure, peak in zip(ids, uncertainty, peaks, strict=True):
        if not (math.isfinite(unsure) and math.isfinite(peak)):
            raise DeviceError(
                "the network gave values that are not finite",
                where=f"frame {name}, object {object_id}",
                fix="use --precision fp32",
            )
        area = int(areas[object_id])
        doubt = unsure if area else min(1.0, 2.0 * peak)
        rows.append({
            "index": index, "frame": name, "object": object_id, "area": area,
            "uncertainty": round(doubt, 4), "score": round(1.0 - doubt, 4),
        })  # fmt: skip
    return rows


def mark_reviews(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the rows of a sequence by frame and say which deserve a look (`review` = yes or no)."""
    ordered = sorted(rows, key=lambda row: (row["index"], row["object"]))
    previous: dict[int, int] = {}
    for row in ordered:
        before = previous.get(row["object"], row["area"])
        jumped = abs(math.log((row["area"] + 1) / (before + 1))) > math.log(REVIEW_AREA_RATIO)
        row["review"] = "yes" if jumped or row["score"] < REVIEW_SCORE else "no"
        previous[row["object"]] = row["area"]
    return ordered


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
