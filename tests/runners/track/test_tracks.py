"""Rows of a followed sequence to tracks, and tracks to maps of ids."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_frame
from vossegcli.errors import InputError
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.sequences import find_sequences
from vossegcli.runners.track.divisions import Lineage
from vossegcli.runners.track.follow import TrackItem
from vossegcli.runners.track.results import MOST_IDS, Followed, id_maps
from vossegcli.runners.track.tracks import Track, collect_tracks


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


def test_more_tracks_than_ids_are_refused(tmp_path: Path) -> None:
    write_frame(tmp_path / "clip" / "0.png", np.zeros((8, 8), np.uint8))
    (sequence,) = find_sequences(tmp_path / "clip")
    item = TrackItem(
        name="clip", frames=1, key="", output=tmp_path / "out", reader=open_frames(sequence), video_id=1,
        snapshot_every=9,
    )  # fmt: skip
    tracks = [Track(number, 0, 0.9, 0, 0, 1, 1) for number in range(MOST_IDS + 1)]
    with pytest.raises(InputError, match=f"clip: has {MOST_IDS + 1} tracks"):
        next(id_maps(Followed(item, Lineage(), tracks, tracks)))
    assert not next(id_maps(Followed(item, Lineage(), tracks, tracks[:-1]))).any()
