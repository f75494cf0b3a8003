"""Which masks are taken and in which order the frames are visited."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_mask, squares
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.runners.propagate import given_masks
from vossegcli.runners.propagate.given_masks import GivenMasks, Pass, absences, find_given_masks, plan_passes
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.types import FrameSequence, LabelMap

NAMES = ("a", "b", "c", "d", "e")
SIZE = (48, 64)


def _sequence(layout: str = "folder", masks: Path | None = None) -> FrameSequence:
    return FrameSequence("clip", (), None, layout, masks)


def _find(sequence: FrameSequence, mask: Path | None, *, alone: bool = True, **options: object) -> GivenMasks:
    chosen = PropagateOptions(frames=Path(), mask=mask, **options)  # type: ignore[arg-type]
    return find_given_masks(sequence, NAMES, SIZE, chosen, alone=alone)


def _empty(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("layout", "use", "taken"),
    [("folder", "new", [1, 3]), ("davis", "first", [1]), ("long-video", "first", [1])],
)
def test_the_default_use_follows_the_layout(tmp_path: Path, layout: str, use: str, taken: list[int]) -> None:
    for name in ("b", "d"):
        draw_mask(tmp_path / f"{name}.png")
    given = _find(_sequence(layout, tmp_path), None)
    assert (given.use, list(given.files)) == (use, taken)


def test_empty_masks_before_the_first_object_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "e"):
        _empty(tmp_path / f"{name}.png")
    for name in ("c", "d"):
        draw_mask(tmp_path / f"{name}.png")
    assert list(_find(_sequence(), tmp_path).files) == [2, 3, 4]
    assert list(_find(_sequence(), tmp_path, use_masks="first").files) == [2]
    assert list(_find(_sequence(), tmp_path, direction="backward").files) == [0, 1, 2, 3]
    assert list(_find(_sequence(), tmp_path, direction="backward", use_masks="first").files) == [3]


def test_a_color_is_one_object_in_all_masks(tmp_path: Path) -> None:
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    for name, ids in (("b", (1, 2)), ("d", (1,))):
        Image.fromarray(colors[squares(0, ids)]).save(tmp_path / f"{name}.png")
    given = _find(_sequence(), tmp_path, use_masks="all")
    assert [given.read(index).ids for index in given.files] == [(1, 2), (2,)]
    assert "(255, 0, 0) = 2" in given.notes[0]


def test_a_mask_of_other_objects_takes_none_of_the_chosen_away(tmp_path: Path) -> None:
    """Who corrects one object draws it alone; only a mask without any object says that all are gone."""
    draw_mask(tmp_path / "a.png", (1, 2))
    draw_mask(tmp_path / "c.png", (2,))
    _empty(tmp_path / "d.png")
    draw_mask(tmp_path / "e.png", (1,))
    for objects, known in (((), {1, 2}), ((1,), {1})):
        given = _find(_sequence(), tmp_path, objects=objects, use_masks="all")
        assert absences(given, Pass(0, 5)) == {3: known, 4: known - {1}}
    assert absences(_find(_sequence(), tmp_path, use_masks="new"), Pass(0, 5)) == {}


def test_chosen_objects_are_followed_alone(tmp_path: Path) -> None:
    for name, ids in (("a", (1, 2)), ("c", (2, 3)), ("d", (1,))):
        draw_mask(tmp_path / f"{name}.png", ids)
    given = _find(_sequence(), tmp_path, objects=(3,))
    assert list(given.files) == [2, 3]
    assert given.read(2).ids == (3,)
    assert set(np.unique(given.read(2).ids_map)) == {0, 3}
    assert given.read(3).ids == ()
    both = _find(_sequence(), tmp_path, objects=(1, 3))
    assert [both.read(index).ids for index in both.files] == [(1,), (3,), (1,)]
    with pytest.raises(InputError, match="has no object 4.*some of 1, 2, 3"):
        _find(_sequence(), tmp_path, objects=(1, 4))
    with pytest.raises(ConfigError, match="object 0"):
        _find(_sequence(), tmp_path, objects=(0,))


def test_a_folder_of_empty_masks_is_refused_by_name(tmp_path: Path) -> None:
    _empty(tmp_path / "a.png")
    _empty(tmp_path / "b.png")
    with pytest.raises(InputError, match="holds no object") as caught:
        _find(_sequence(), tmp_path)
    assert caught.value.where == str(tmp_path)


def test_masks_of_no_frame_are_noted(tmp_path: Path) -> None:
    for name in ("a", "x", "y"):
        draw_mask(tmp_path / f"{name}.png")
    assert _find(_sequence(), tmp_path).notes == ("masks named like no frame: 2 (x.png, y.png)",)


def test_a_folder_of_folders_also_for_one_sequence(tmp_path: Path) -> None:
    draw_mask(tmp_path / "clip" / "b.png")
    assert list(_find(_sequence(), tmp_path).files) == [1]
    assert list(_find(_sequence(), tmp_path, alone=False).files) == [1]


def test_passes_cover_every_frame(tmp_path: Path) -> None:
    files = {2: draw_mask(tmp_path / "c.png", (1,)), 3: draw_mask(tmp_path / "d.png", (1, 5))}
    given = GivenMasks(files, "new", SIZE, fix=False)
    assert plan_passes(given, 5, "forward") == ((Pass(2, 5),), range(2))
    assert plan_passes(given, 5, "backward") == ((Pass(3, -1, reverse=True),), range(4, 5))
    (forward, back), left_out = plan_passes(given, 5, "both")
    assert (list(forward.indices()), list(back.indices()), len(left_out)) == ([2, 3, 4], [3, 2, 1, 0], 0)
    assert [back.decided((1, 5), index) for index in back.indices()] == [(), (5,), (1, 5), (1, 5)]
    assert (forward.written(), back.written(), back.written(0), back.written(2)) == (3, 3, 0, 1)


def test_both_ways_from_the_first_frame_is_one_way(tmp_path: Path) -> None:
    given = GivenMasks({0: draw_mask(tmp_path / "a.png")}, "new", SIZE, fix=False)
    assert plan_passes(given, 5, "both") == ((Pass(0, 5),), range(0))


@pytest.mark.parametrize(
    ("use", "direction", "most"), [("new", "both", 2), ("new", "forward", 2), ("all", "forward", 2)]
)
def test_masks_are_read_once_for_their_ids_and_again_only_for_pixels_that_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str, direction: str, most: int
) -> None:
    files = [draw_mask(tmp_path / f"{name}.png", (1, 2) if name == "c" else (1,)) for name in NAMES]
    reads: Counter[Path] = Counter()

    def counted(path: Path, **options: object) -> LabelMap:
        reads[path] += 1
        return read_label_map(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(given_masks, "read_label_map", counted)
    given = _find(_sequence(), tmp_path, use_masks=use, direction=direction)
    passes, _ = plan_passes(given, len(NAMES), direction)
    known = {1}
    for way in passes:
        absences(given, way)
        for index in way.indices():
            wanted = given_masks.wanted_on(given, index, way.start, sorted(known))
            assert (wanted is not None) == (index != way.start and (use == "all" or (index == 2 and 2 not in known)))
            known |= set() if wanted is None else set(np.unique(wanted).tolist())
    assert max(reads.values()) <= most
    assert use == "all" or reads[files[4]] == 1
