"""Rows of a followed sequence to tracks."""

import pytest

from vossegcli.runners.track.tracks import collect_tracks


def row(frame: int, number: int, score: float, label: int = 0) -> dict[str, object]:
    return {"frame": frame, "id": number, "label": label, "score": score, "area": 10}


def test_a_track_is_what_its_last_row_says_of_it() -> None:
    (first, second) = collect_tracks([row(0, 2, 0.9), row(1, 1, 0.5), row(1, 2, 0.7, label=1), row(4, 2, 0.6, label=1)])
    assert (first.number, first.label, first.score) == (2, 1, 0.6)
    assert (first.first, first.last, first.frames, first.area) == (0, 4, 3, 30)
    assert second.number == 1


def test_tracks_of_few_frames_rank_behind_those_of_many() -> None:
    (flicker, steady) = collect_tracks([row(0, 1, 0.8), *(row(t, 2, 0.7) for t in range(12))])
    assert flicker.rank == pytest.approx(0.8 / 4)
    assert steady.rank == pytest.approx(0.7 * 12 / 15)
    assert steady.rank > flicker.rank
