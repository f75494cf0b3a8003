"""Courses of the cut-outs of a synthetic clip, for objects whose parts appear later.

Real objects come nearer, enter over the border, and turn up from behind others; what the first frame does not show
belongs to them all the same. Shape letters: L cut-outs.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: Course of a labelled cut-out -> share.
KINDS = {"free": 0.35, "grows": 0.2, "shrinks": 0.05, "enters": 0.2, "uncovered": 0.2}
AREA_RATIO = (3.0, 8.0)  # of the last to the first frame of a clip of `FULL_GROWTH` frames
FULL_GROWTH = 6  # frames; in a shorter clip things grow less
LOG_SIZES = (-2.2, -0.3)


def draw_places(ids: npt.NDArray[np.integer], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw placements (1+L,4) and courses (1+L,3) of a background and cut-outs, as in `synthetic.Layers`.

    Args:
        ids: (L,) of the cut-outs: object id, 0 = distractor, -1 = none; painted in this order.
        rng: source of randomness.
    """
    count = ids.size
    placements = np.ones((1 + count, 4), np.float32)
    placements[0, :3] = (*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.0, 0.4))
    placements[1:, :2] = rng.uniform(-0.7, 0.7, (count, 2))
    placements[1:, 2] = rng.uniform(*LOG_SIZES, count)
    courses = np.zeros((1 + count, 3), np.float32)
    for place in np.flatnonzero(ids > 0):
        kind = rng.choice(list(KINDS), p=list(KINDS.values()))
        row = 1 + int(place)
        if kind in {"grows", "shrinks"}:
            growth = 0.5 * math.log(rng.uniform(*AREA_RATIO))
            small = rng.uniform(-2.4, -1.2)
            placements[row, 2], courses[row, 2] = (small, growth) if kind == "grows" else (small + growth, -growth)
        elif kind == "enters":
            axis, side = rng.integers(2), rng.choice((-1.0, 1.0))
            placements[row, axis] = side * rng.uniform(0.75, 1.05)
            courses[row, axis] = -side * rng.uniform(0.5, 1.1)
        elif kind == "uncovered":
            above = np.flatnonzero((ids == 0) & (np.arange(count) > place))
            if above.size:
                _cover(placements, courses, row, 1 + int(rng.choice(above)), rng)
    return placements, courses


def _cover(placements: Floats, courses: Floats, row: int, above: int, rng: np.random.Generator) -> None:
    """Put a cut-out over a half of another, from where it goes away."""
    angle, size = rng.uniform(0.0, 2.0 * math.pi), math.exp(placements[row, 2])
    away = np.array([math.cos(angle), math.sin(angle)])
    placements[above, :2] = placements[row, :2] + 0.5 * size * away
    placements[above, 2] = placements[row, 2] + rng.uniform(-0.2, 0.3)
    courses[above, :2] = rng.uniform(0.8, 1.6) * size * away
