"""The page of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from vossegcli.reports.curves import CURVE_POINTS, HEIGHT, WIDTH, histogram, polyline
from vossegcli.reports.evaluation import Report, is_defined
from vossegcli.reports.rendering import rendered

BINS = 20
#: Bounds of the size of the page: points of all curves, and scores that a click can show.
ALL_CURVE_POINTS, EMBEDDED_SCORES = 100_000, 120_000


TITLES = {
    "vos": "Video object segmentation",
    "fewshot": "Few-shot segmentation",
    "instance": "Instance segmentation",
    "track": "Video instance segmentation",
}
COLUMNS = {
    "vos": ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"),
    "fewshot": ("IoU", "images"),
    "instance": ("AP", "AP50", "APs", "APm", "APl", "AR", "objects"),
    "track": ("AP", "AP50", "APs", "APm", "APl", "AR", "objects"),
}


@dataclass(frozen=True)
class Picture:
    """A picture of a frame.

    Attributes:
        sequence: name.
        frame: name.
        kind: `image`, `truth`, `prediction` or `errors`.
        uri: data URI.
        caption: what else to say.
    """

    sequence: str
    frame: str
    kind: str
    uri: str
    caption: str = ""


@dataclass(frozen=True)
class Lines:
    """Curves in one box of 320 x 90 units: class name -> "x,y x,y ..."."""

    name: str
    lines: Mapping[str, str]


def evaluation_page(report: Report, pictures: Sequence[Picture] = (), worst: Sequence[Picture] = ()) -> str:
    """Render a report.

    Args:
        report: as in `report.json`.
        pictures: error maps of frames, shown when a curve is clicked.
        worst: pictures of the worst frames, those of one frame one after the other.

    Returns:
        HTML without any reference to other files.
    """
    rows, objects = _rows(report), report.get("per_object", {})
    points = min(CURVE_POINTS, max(16, ALL_CURVE_POINTS // max(1, 2 * len(objects))))
    return rendered(
        "evaluation.html", report=report, defined=is_defined, title=TITLES[report["task"]],
        columns=COLUMNS[report["task"]], rows=rows,
        curves=[_score_curves(name, row, points) for name, row in objects.items()],
        precision=_precision_lines(report), histogram=_histogram(report), confusion=_confusion(report),
        worst=_by_frame(worst), width=WIDTH, height=HEIGHT, data=_embedded(report, pictures),
    )  # fmt: skip


def _rows(report: Report) -> list[dict[str, Any]]:
    if report["task"] == "vos":
        return [{"name": name, **row} for name, row in report["per_object"].items()]
    if report["task"] == "fewshot":
        areas = report["areas"]
        return [
            {"name": name, "IoU": iou, "images": areas[name]["images"]} for name, iou in report["per_class"].items()
        ]
    return [{"name": name, **row} for name, row in report["per_class"].items()]


def _score_curves(name: str, row: Mapping[str, Any], points: int) -> Lines:
    return Lines(name, {letter.lower(): polyline(row[letter], points) for letter in "JF"})


def _precision_lines(report: Report) -> list[tuple[float, str]]:
    """(IoU threshold, points) of the PR curves: recall to the right, precision upwards."""
    if "curves" not in report:
        return []
    curves = report["curves"]
    return [(t, polyline(row)) for t, row in zip(curves["thresholds"], curves["precisions"], strict=True)]


def _histogram(report: Report) -> list[tuple[float, float, int]]:
    """(left edge, height as a share of the highest, count) of J over all objects and frames."""
    if report["task"] != "vos":
        return []
    counted = histogram([j for row in report["per_object"].values() for j in row["J"]], 0.0, 1.0, BINS)
    highest = max(*(count for _, count in counted), 1)
    return [(left, count / highest, count) for left, count in counted]


def _confusion(report: Report) -> list[tuple[str, list[float]]]:
    """Rows of the confusion matrix as shares of the row."""
    if "confusion" not in report:
        return []
    matrix = report["confusion"]
    return [
        (name, [count / max(sum(row), 1) for count in row])
        for name, row in zip(matrix["classes"], matrix["pixels"], strict=True)
    ]


def _by_frame(worst: Sequence[Picture]) -> list[tuple[Picture, list[Picture]]]:
    frames: dict[tuple[str, str], list[Picture]] = {}
    for picture in worst:
        frames.setdefault((picture.sequence, picture.frame), []).append(picture)
    return [(group[0], group) for group in frames.values()]


def _embedded(report: Report, pictures: Sequence[Picture]) -> Markup:
    """Return the script's data as JSON; no string in it can close the script element."""
    shown: dict[str, list[dict[str, str]]] = {}
    for picture in pictures:
        shown.setdefault(picture.sequence, []).append({"frame": picture.frame, "uri": picture.uri})
    objects = report.get("per_object", {})
    scores = 2 * sum(len(row["J"]) for row in objects.values())
    step = max(1, -(-scores // EMBEDDED_SCORES))  # of a very long video, every n-th frame
    payload = {
        "numbers": report["numbers"],
        "frames": {row["sequence"]: row["frames"][::step] for row in objects.values()},
        "objects": {
            name: {"sequence": row["sequence"], **{k: [round(v, 4) for v in row[k][::step]] for k in "JF"}}
            for name, row in objects.items()
        },
        "pictures": shown,
    }
    text = json.dumps(payload)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704 - escaped
