"""Divisions of discs: which are found, and what `vosseg track --divide` makes of them.

Covers: runners.track.divisions, runners.track.tracks
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Outcome, write_frame
from vossegcli.io.records.run_records import append_jsonl
from vossegcli.io.results.rle import region_rle
from vossegcli.runners.track import run as runner
from vossegcli.runners.track.divisions import Division, Lineage, Row, find_divisions, lineage_of
from vossegcli.runners.track.follow import TrackItem
from vossegcli.runners.track.tracks import collect_tracks

SIZE = (64, 96)
FRAMES = 8
AT = 4  # first frame with both daughters

#: x, y, radius
Disc = tuple[float, float, float]


def row(frame: int, number: int, disc: Disc) -> Row:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = (x - disc[0]) ** 2 + (y - disc[1]) ** 2 <= disc[2] ** 2
    counts = region_rle(mask, 0, 0, *SIZE)["counts"]
    return {"frame": frame, "id": number, "label": 0, "score": 0.9, "area": int(mask.sum()), "rle": counts}


def dividing(first: int, second: int, radius: float = 9.0, apart: float = 9.0, gap: int = 0) -> list[Row]:
    """Disc 1 becomes two in frame `AT`, each of which moves on by a pixel a frame; beside it lies disc 7."""
    rows = []
    for t in range(FRAMES):
        rows.append(row(t, 7, (80.0, 50.0, 8.0)))
        if t < AT - gap:
            rows.append(row(t, 1, (40.0, 30.0, 14.0)))
        elif t >= AT:
            shift = apart + t - AT
            rows += [row(t, first, (40.0 - shift, 30.0, 9.0)), row(t, second, (40.0 + shift, 30.0, radius))]
    return rows


def found(rows: Sequence[Row]) -> list[Division]:
    return find_divisions(rows, collect_tracks(rows), SIZE, FRAMES)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (2, 3)])
def test_a_disc_divides(first: int, second: int) -> None:
    """Whether it goes on as one of its daughters or not."""
    (division,) = found(dividing(first, second))
    assert (division.frame, division.mother, set(division.daughters)) == (AT, 1, {first, second})


def test_a_mother_that_is_not_seen_just_before_is_found_further_back() -> None:
    (division,) = found(dividing(2, 3, gap=2))
    assert (division.frame, division.mother) == (AT, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"apart": 20.0},  # outside of the mother
        {"radius": 3.0},  # a crumb
        {"first": 5, "second": 7},  # one only: the other was there before
    ],
)
def test_what_is_no_division(changes: dict[str, float]) -> None:
    assert not found(dividing(**{"first": 1, "second": 2, **changes}))  # type: ignore[arg-type]


def test_a_daughter_that_flickers_does_not_count() -> None:
    rows = [r for r in dividing(1, 2) if r["id"] != 2 or r["frame"] == AT]
    assert not found(rows)
    rows = [r for r in dividing(1, 2) if r["frame"] <= AT]
    assert len(find_divisions(rows, collect_tracks(rows), SIZE, AT + 1)) == 1, "nothing comes after it"


def test_a_mother_divides_once() -> None:
    """Two more that turn up later where she was are not hers, for she has two daughters already."""
    rows = [row(t, 1, (40.0, 30.0, 20.0)) for t in range(AT)]
    pairs = {2: (28.0, 30.0), 3: (52.0, 30.0), 4: (40.0, 18.0), 5: (40.0, 42.0)}
    rows += [row(t, n, (*pairs[n], 12.0)) for t in range(AT, FRAMES) for n in pairs if n < 4 or t > AT]
    (division,) = found(rows)
    assert (division.frame, division.mother, division.daughters) == (AT, 1, (2, 3))


def test_a_neighbour_that_goes_on_is_no_daughter() -> None:
    """A disc inside the outline of another one that stays as it is."""
    rows = [row(t, 1, (40.0, 30.0, 14.0)) for t in range(FRAMES)]
    rows += [row(t, n, (x, 30.0, 7.0)) for t in range(AT, FRAMES) for n, x in ((2, 33.0), (3, 47.0))]
    assert not found(sorted(rows, key=lambda one: int(one["frame"])))


def test_lineage_over_generations() -> None:
    """Track 1 goes on as a daughter of itself twice: it has three names, and each division has its own parent."""
    lineage = lineage_of([Division(4, 1, (1, 2)), Division(9, 1, (1, 3)), Division(9, 2, (4, 5))], following=6)
    assert [lineage.name(1, frame) for frame in (0, 3, 4, 8, 9, 20)] == [1, 1, 6, 6, 7, 7]
    assert lineage.parents == {6: 1, 2: 1, 7: 6, 3: 6, 4: 2, 5: 2}
    assert [r["id"] for r in lineage.renamed([row(3, 1, (9, 9, 3)), row(9, 1, (9, 9, 3)), row(9, 8, (9, 9, 3))])] == [
        1, 7, 8,
    ]  # fmt: skip
    assert Lineage().name(5, 3) == 5


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Frames in which the tracker finds the dividing discs."""

    def follow(item: TrackItem, *_: object) -> int:
        append_jsonl(item.state.rows, *dividing(1, 2))
        return FRAMES

    monkeypatch.setattr(runner, "follow_sequence", follow)
    for t in range(FRAMES):
        write_frame(tmp_path / "film" / f"{t:03d}.png", np.zeros(SIZE, np.uint8))
    return tmp_path / "film"


def test_a_mother_of_a_low_score_is_drawn_if_her_track_is(
    film: Path, tiny_tracker: Path, tmp_path: Path, vosseg: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the option she would be drawn, as the beginning of a track that is sure in the end."""

    def follow(item: TrackItem, *_: object) -> int:
        rows = dividing(1, 2)
        append_jsonl(item.state.rows, *({**r, "score": 0.9 if r["frame"] >= AT or r["id"] == 7 else 0.2} for r in rows))
        return FRAMES

    monkeypatch.setattr(runner, "follow_sequence", follow)
    out = tmp_path / "out"
    command = ("track", film, "--checkpoint", tiny_tracker, "--device", "cpu", "--score-threshold", "0.5", "-o", out)
    assert vosseg(*command, "--divide").code == 0
    with (out / "tracks.csv").open() as file:
        assert [(r["first"], r["last"], r["parent"]) for r in csv.DictReader(file)] == [
            ("000", "003", ""), ("000", "007", ""), ("004", "007", "1"), ("004", "007", "1"),
        ]  # fmt: skip


def test_tables_and_masks_name_mother_and_daughters(
    film: Path, tiny_tracker: Path, tmp_path: Path, vosseg: Callable[..., Outcome]
) -> None:
    out = tmp_path / "out"
    command = ("track", film, "--checkpoint", tiny_tracker, "--device", "cpu", "--save", "masks,ctc,coco", "-o", out)
    assert vosseg(*command, "--divide").code == 0
    with (out / "tracks.csv").open() as file:
        rows = {r["track"]: (r["first"], r["last"], r["parent"]) for r in csv.DictReader(file)}
    assert rows == {
        "1": ("000", "003", ""), "2": ("000", "007", ""), "3": ("004", "007", "1"), "4": ("004", "007", "1"),
    }  # fmt: skip
    ids = [set(np.unique(np.array(Image.open(out / f"masks/film/{t:03d}.png")))) for t in (3, 4)]
    assert ids == [{0, 1, 2}, {0, 2, 3, 4}]
    table = [tuple(map(int, line.split())) for line in (out / "ctc/film/res_track.txt").read_text().splitlines()]
    assert sorted((b, e, p) for _, b, e, p in table) == [(0, 3, 0), (0, 7, 0), (4, 7, 1), (4, 7, 1)]
    assert vosseg(*command).code == 0, "another setting, another result"
    with (out / "tracks.csv").open() as file:
        assert sorted((r["first"], r["last"], r["parent"]) for r in csv.DictReader(file)) == [
            ("000", "007", ""), ("000", "007", ""), ("004", "007", ""),
        ]  # fmt: skip
