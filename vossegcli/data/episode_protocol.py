"""Drawing of evaluation episodes by HSNet's protocol, which most later work has taken over.

With the same lists of images it draws the very episodes that the public code draws after `numpy.random.seed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DrawnEpisode:
    """A class, which of its images is the query, and which are the supports (one can be drawn twice)."""

    name: str
    query: int
    supports: tuple[int, ...]


def draw_episodes(
    sizes: Mapping[str, int], queries: Sequence[tuple[str, int]] | None, *, count: int, shots: int, seed: int
) -> list[DrawnEpisode]:
    """Draw episodes.

    Args:
        sizes: class -> number of images, two or more.
        queries: (class, image) in the order in which they take their turns, over and over (PASCAL-5i, FSS-1000); if
            they are more than `count`, as many are taken at equal distances. None = class and image are drawn
            (COCO-20i).
        count: episodes.
        shots: supports an episode.
        seed: of numpy's legacy generator.
    """
    random = np.random.RandomState(seed)
    names = list(sizes)
    drawn = []
    for k in range(count):
        if queries is None:
            name = names[_one_of(random, len(names))]
            query = _one_of(random, sizes[name])
        else:
            name, query = queries[k % len(queries) if count >= len(queries) else k * len(queries) // count]
        supports: list[int] = []
        while len(supports) < shots:
            support = _one_of(random, sizes[name])
            if support != query:
                supports.append(support)
        drawn.append(DrawnEpisode(name, query, tuple(supports)))
    return drawn


def _one_of(random: np.random.RandomState, count: int) -> int:
    """Draw as the public code does: `choice` without replacement takes another number from the stream than with."""
    return int(random.choice(count, 1, replace=False)[0])
