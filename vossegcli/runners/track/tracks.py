"""Tracks of a followed sequence: its rows, and each identity over its life."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

DOUBT = 3  # frames: a track that is seen in so few is ranked by half of its score

Row = dict[str, Any]


@dataclass(frozen=True)
class Track:
    """One identity over its life.

    Attributes:
        number: as the predictor calls it.
        label: number of its class, from 0.
        score: mean over the key frames that it was seen on.
        first: index of the first frame with it.
        last: and of the last.
        frames: with it.
        area: sum of its areas in pixels.
    """

    number: int
    label: int
    score: float
    first: int
    last: int
    frames: int
    area: int

    @property
    def rank(self) -> float:
        """Score by which results are ranked: what is seen in few frames is wrong more often."""
        return self.score * self.frames / (self.frames + DOUBT)


def collect_tracks(rows: Iterable[Row]) -> list[Track]:
    """The tracks of a sequence in the order of their first frames; class and score are those of their last rows."""
    found: dict[int, Track] = {}
    for row in rows:
        number, index = row["id"], row["frame"]
        known = found.get(number, Track(number, 0, 0.0, index, index, 0, 0))
        found[number] = Track(
            number, row["label"], row["score"], known.first, index, known.frames + 1, known.area + row["area"]
        )
    return sorted(found.values(), key=lambda track: (track.first, track.number))
