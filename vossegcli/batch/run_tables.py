"""Tables of a finished run, read back item by item for its page."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from vossegcli.io.masks.palette import PALETTE, palette_rows
from vossegcli.reports.run_page import ObjectCurves, Span

Row = Mapping[str, str]
Numbers = dict[str, float | int | str]


@dataclass
class ItemTable:
    """The rows of a run's tables for one item.

    Attributes:
        numbers: columns of its row on the page.
        frames: names in order, where the tables list them.
        review: frames (or classes of an image) that a person should look at, with the reason.
        worst: the frame with the lowest score.
        scores: of its objects, in [0, 1].
        areas: of its objects, in pixels.
        curves: of its objects over the frames.
        tracks: name, colour, first and last frame of its tracks.
    """

    numbers: Numbers = field(default_factory=dict)
    frames: list[str] = field(default_factory=list)
    review: dict[str, str] = field(default_factory=dict)
    worst: str | None = None
    scores: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    curves: tuple[ObjectCurves, ...] = ()
    tracks: tuple[tuple[str, str, str, str], ...] = ()

    def spans(self, frames: list[str]) -> tuple[Span, ...]:
        """Place the tracks along the frames of the video."""
        place = {name: k / max(len(frames) - 1, 1) for k, name in enumerate(frames)}
        return tuple(Span(n, c, place.get(a, 0.0), place.get(b, 1.0)) for n, c, a, b in self.tracks)


def read_tables(folder: Path) -> tuple[str, dict[str, ItemTable]]:
    """Read the table that a run wrote; return the command's name and the tables by item, or ("", {})."""
    for name, key, command, parse in _KINDS:
        path = folder / name
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if key not in (reader.fieldnames or ()):
                continue
            groups: dict[str, list[Row]] = {}
            for row in reader:
                groups.setdefault(row[key], []).append(row)
        return command, {item: parse(rows) for item, rows in groups.items()}
    return "", {}


def _propagate(rows: list[Row]) -> ItemTable:
    """Rows of `confidence.csv` of one sequence: one a frame and object."""
    frames = list(dict.fromkeys(row["frame"] for row in rows))
    by_object: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_object.setdefault(row["object"], {})[row["frame"]] = row
    curves = tuple(_object_curves(name, found, frames) for name, found in by_object.items())
    doubtful = sorted((row for row in rows if row["review"] == "yes"), key=lambda row: float(row["score"]))
    review: dict[str, str] = {}
    for row in doubtful:  # lowest score first
        review.setdefault(row["frame"], f"object {row['object']}: score {float(row['score']):.2f}, {row['area']} px")
    scores = _column(rows, "score")
    numbers: Numbers = {"objects": len(by_object), "lowest score": min(scores), "mean score": fmean(scores)}
    worst = min(rows, key=lambda row: float(row["score"]))["frame"]
    return ItemTable(numbers, frames, review, worst, scores, _column(rows, "area"), curves)


def _object_curves(name: str, rows: Mapping[str, Row], frames: Iterable[str]) -> ObjectCurves:
    known = [rows.get(frame) for frame in frames]
    areas = tuple(float(row["area"]) if row else 0.0 for row in known)
    scores = tuple(float(row["score"]) if row else 1.0 for row in known)
    return ObjectCurves(f"object {name}", _color(int(name)), areas, scores)


def _fewshot(rows: list[Row]) -> ItemTable:
    """Rows of `confidence.csv` of one image: one a class."""
    painted = [row for row in rows if int(row["area"])]
    review = {row["class"]: f"confidence {float(row['confidence']):.2f}" for row in rows if row["review"] == "yes"}
    scores = _column(painted, "confidence")
    numbers: Numbers = {"classes": len(painted), "area": sum(int(row["area"]) for row in painted)}
    if scores:
        numbers["lowest confidence"] = min(scores)
    return ItemTable(numbers, [], review, None, scores, _column(painted, "area"))


def _instance(rows: list[Row]) -> ItemTable:
    """Rows of `instances.csv` of one image: one an instance."""
    scores, areas = _column(rows, "score"), _column(rows, "area")
    numbers: Numbers = {"instances": len(rows), "mean score": fmean(scores), "mean area": fmean(areas)}
    return ItemTable(numbers, [], {}, None, scores, areas)


def _track(rows: list[Row]) -> ItemTable:
    """Rows of `tracks.csv` of one sequence: one a track."""
    tracks = tuple(
        (f"track {row['track']} ({row['class']}), {row['first']} to {row['last']}", _color(int(row["track"])),
         row["first"], row["last"])
        for row in rows
    )  # fmt: skip
    scores = _column(rows, "score")
    numbers: Numbers = {"tracks": len(rows), "mean score": fmean(scores)}
    return ItemTable(numbers, [], {}, None, scores, _column(rows, "area"), (), tracks)


#: (table, its first column, command, what makes a record of an item's rows).
_KINDS: tuple[tuple[str, str, str, Callable[[list[Row]], ItemTable]], ...] = (
    ("confidence.csv", "sequence", "propagate", _propagate),
    ("confidence.csv", "query", "fewshot", _fewshot),
    ("instances.csv", "image", "instance", _instance),
    ("tracks.csv", "sequence", "track", _track),
)


def _column(rows: Iterable[Row], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def _color(object_id: int) -> str:
    red, green, blue = PALETTE[int(palette_rows(np.array(object_id)))]
    return f"#{red:02x}{green:02x}{blue:02x}"
