"""The report of a training run: one offline HTML file with curves and sample predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vossegcli.reports.rendering import rendered

CURVE_POINTS = 300
WIDTH, HEIGHT = 420, 150


@dataclass(frozen=True)
class Curve:
    """One value over the steps, as points of an SVG polyline.

    Attributes:
        name: of the value.
        points: "x,y x,y ..." in a box of 420 x 150 units.
        low: smallest value shown.
        high: largest value shown.
        last: the latest (smoothed) value.
    """

    name: str
    points: str
    low: float
    high: float
    last: float


def training_report(
    facts: Mapping[str, Any], log: Sequence[Mapping[str, Any]], pictures: Sequence[tuple[str, str]]
) -> str:
    """Render the report.

    Args:
        facts: name -> value, shown as a table.
        log: one row of values a step.
        pictures: (caption, data URI) of sample predictions.

    Returns:
        HTML without any reference to other files.
    """
    names = [n for n in (log[-1] if log else {}) if n not in {"step", "stage", "seconds", "skipped"}]
    curves = [curve(n, [(row["step"], row[n]) for row in log if n in row]) for n in names]
    return rendered("training.html", facts=facts, curves=curves, pictures=pictures, width=WIDTH, height=HEIGHT)


def curve(name: str, points: Sequence[tuple[float, float]]) -> Curve:
    """Average a curve down to at most 300 points and scale it to the picture."""
    size = max(1, -(-len(points) // CURVE_POINTS))
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    means = [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
    low, high = min(y for _, y in means), max(y for _, y in means)
    first, last = means[0][0], means[-1][0]
    scaled = [
        (WIDTH * (x - first) / max(last - first, 1e-9), HEIGHT * (1.0 - (y - low) / max(high - low, 1e-12)))
        for x, y in means
    ]
    return Curve(name, " ".join(f"{x:.1f},{y:.1f}" for x, y in scaled), low, high, means[-1][1])
