"""Curves and histograms of the pages, as points of an SVG."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 320, 90
#: Largest number of points of one curve; longer ones are averaged.
CURVE_POINTS = 240


def polyline(values: Sequence[float], points: int = CURVE_POINTS) -> str:
    """Points of a curve over its index in a box of `WIDTH` x `HEIGHT`; 0 is at the bottom, 1 at the top.

    Args:
        values: in [0, 1], at least one.
        points: largest number of points; neighbours are averaged.
    """
    size = max(1, -(-len(values) // points))
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    means = [sum(group) / len(group) for group in groups]
    if len(means) == 1:
        means *= 2
    step = WIDTH / (len(means) - 1)
    return " ".join(f"{i * step:.1f},{HEIGHT * (1.0 - value):.1f}" for i, value in enumerate(means))


def histogram(values: Sequence[float], low: float, high: float, bins: int) -> list[tuple[float, int]]:
    """(left edge, count) of each of `bins` equal parts of [low, high]; values beyond count in the outer ones."""
    counts = [0] * bins
    width = (high - low) / bins or 1.0
    for value in values:
        counts[min(max(int((value - low) / width), 0), bins - 1)] += 1
    return [(low + i * width, count) for i, count in enumerate(counts)]
