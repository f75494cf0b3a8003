"""The page of a run of a batch command: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vossegcli.reports.curves import HEIGHT, WIDTH, polyline
from vossegcli.reports.rendering import rendered

ALL_CURVE_POINTS = 60_000
FEWEST_POINTS = 16


@dataclass(frozen=True)
class Shot:
    """A picture of one frame of an item.

    Attributes:
        frame: name; empty where the item is an image.
        uri: data URI.
        caption: why it is shown, e.g. `first`.
        review: whether a person should look at it.
        position: number of the frame in its video; the strip of a video is in this order.
    """

    frame: str
    uri: str
    caption: str
    review: bool = False
    position: int = 0


@dataclass(frozen=True)
class ObjectCurves:
    """Area and score of one object over the frames of a video.

    Attributes:
        name: of the object.
        color: CSS colour of its mask.
        areas: in pixels, one value a frame.
        scores: in [0, 1], one value a frame.
    """

    name: str
    color: str
    areas: tuple[float, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Span:
    """The life of one track, in shares of the video's length."""

    name: str
    color: str
    first: float
    last: float


@dataclass(frozen=True)
class PageItem:
    """One item of the run.

    Attributes:
        name: of the item.
        status: `done`, `skipped` (was done before) or `failed`.
        frames: number of frames that were done.
        seconds: time spent.
        reason: why it failed or was skipped, or None.
        notes: interpretations of the input.
        numbers: columns of its row, the same names for all items.
        review: number of frames, or objects of an image, that a person should look at.
        shots: its pictures.
        curves: of its objects, for videos.
        spans: of its tracks, for videos.
    """

    name: str
    status: str
    frames: int
    seconds: float
    reason: str | None = None
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    review: int = 0
    shots: tuple[Shot, ...] = ()
    curves: tuple[ObjectCurves, ...] = ()
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """A histogram: (left edge, count) of each part, and the right edge of the last."""

    title: str
    parts: tuple[tuple[float, int], ...]
    high: float


@dataclass(frozen=True)
class RunPage:
    """A run as it is shown.

    Attributes:
        title: name of the command and input.
        facts: of the run, by name.
        tiles: its few most important numbers.
        items: in their order.
        distributions: of areas, scores, counts.
        command: how the page is written again.
    """

    title: str
    facts: Mapping[str, object]
    tiles: Mapping[str, object]
    items: tuple[PageItem, ...]
    distributions: tuple[Distribution, ...] = ()
    command: str = ""


def run_page(page: RunPage) -> str:
    """Render a run to HTML without any reference to other files."""
    lines = 2 * sum(len(item.curves) for item in page.items)
    points = max(FEWEST_POINTS, min(WIDTH, ALL_CURVE_POINTS // max(1, lines)))
    columns = list(dict.fromkeys(name for item in page.items for name in item.numbers))
    videos = [item for item in page.items if item.curves or item.spans]
    names = {item.name for item in videos}
    return rendered(
        "run.html", page=page, columns=columns, width=WIDTH, height=HEIGHT,
        failed=[item for item in page.items if item.status == "failed"],
        videos=videos, video_names=names,
        images=[item for item in page.items if item.shots and item.name not in names],
        curves={item.name: _lines(item.curves, points) for item in page.items if item.curves},
        bars=[(one.title, _bars(one.parts), _label(one.high)) for one in page.distributions],
    )  # fmt: skip


def _lines(curves: Sequence[ObjectCurves], points: int) -> list[tuple[ObjectCurves, str, str]]:
    """Each object with the points of its area, as a share of the largest of the video, and of its score."""
    largest = max((area for one in curves for area in one.areas), default=0.0) or 1.0
    return [
        (one, polyline([area / largest for area in one.areas], points), polyline(one.scores, points)) for one in curves
    ]


def _bars(parts: Sequence[tuple[float, int]]) -> list[tuple[float, float, int, str]]:
    """(share of the width, share of the highest, count, label) of the bars of a histogram."""
    highest = max((count for _, count in parts), default=0) or 1
    return [(i / len(parts), count / highest, count, _label(left)) for i, (left, count) in enumerate(parts)]


def _label(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
