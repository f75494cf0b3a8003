"""A colour is one object in all masks of a sequence."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.shared_ids import SharedIds, shared_ids
from vossegcli.types import LabelMap

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PALETTE_RED = (128, 0, 0)


def colored(path: Path, *colors: tuple[int, int, int]) -> LabelMap:
    """A mask with a square of each colour, as it is read alone."""
    pixels = np.zeros((24, 24 * len(colors), 3), np.uint8)
    for number, color in enumerate(colors):
        pixels[8:16, 24 * number + 8 : 24 * number + 16] = color
    Image.fromarray(pixels).save(path)
    return read_label_map(path)


def grey(path: Path, *values: int) -> LabelMap:
    """A mask with a square of each value."""
    pixels = np.zeros((24, 24 * len(values)), np.uint8)
    for number, value in enumerate(values):
        pixels[8:16, 24 * number + 8 : 24 * number + 16] = value
    Image.fromarray(pixels).save(path)
    return read_label_map(path)


def ids_in(shared: SharedIds, label_map: LabelMap) -> list[int]:
    """The ids of the squares of a mask, from left to right."""
    found = shared.apply(Path("mask.png"), label_map)
    assert set(np.unique(found.ids_map)) == {0, *found.ids}
    return found.ids_map[12, 12::24].tolist()


def test_a_color_has_one_id_in_all_masks(tmp_path: Path) -> None:
    both, red, blue = (
        colored(tmp_path / "a.png", RED, GREEN), colored(tmp_path / "b.png", RED), colored(tmp_path / "c.png", BLUE)
    )  # fmt: skip
    assert red.ids == both.ids[:1] == (1,), "read alone, red is 1 where green is missing"
    shared = shared_ids([both, red, blue])
    assert [ids_in(shared, each) for each in (both, red, blue)] == [[3, 2], [3], [1]]
    assert shared.note == "colours read as objects: (0, 0, 255) = 1, (0, 255, 0) = 2, (255, 0, 0) = 3"


def test_a_color_that_changed_a_little_is_the_same(tmp_path: Path) -> None:
    first = colored(tmp_path / "a.png", RED, GREEN)
    later = colored(tmp_path / "b.png", (250, 3, 0))
    assert ids_in(shared_ids([first, later]), later) == ids_in(shared_ids([first, later]), first)[:1]
    two = colored(tmp_path / "c.png", RED, (240, 0, 0))
    assert len(set(ids_in(shared_ids([first, two]), two))) == 2, "two colours of one mask are two objects"


def test_colors_of_the_davis_palette_agree_with_ids(tmp_path: Path) -> None:
    named, ids = colored(tmp_path / "a.png", PALETTE_RED), grey(tmp_path / "b.png", 1, 2)
    for first, second in ((named, ids), (ids, named)):
        shared = shared_ids([first, second])
        assert (ids_in(shared, named), ids_in(shared, ids)) == ([1], [1, 2])
    other = colored(tmp_path / "c.png", RED)
    assert ids_in(shared_ids([named, other]), named) != ids_in(shared_ids([named, other]), other)


def test_white_beside_other_ids_is_not_known(tmp_path: Path) -> None:
    white, one, two = grey(tmp_path / "a.png", 255), grey(tmp_path / "b.png", 1), grey(tmp_path / "c.png", 1, 2)
    assert ids_in(shared_ids([one, white]), white) == [1]
    assert ids_in(shared_ids([white, two]), two) == [1, 2]
    with pytest.raises(InputError, match=r"mask\.png: is black and white, and other masks hold the ids 1, 2"):
        ids_in(shared_ids([two, white]), white)


@pytest.mark.parametrize("order", [1, -1])
def test_colors_beside_ids_are_refused(tmp_path: Path, order: int) -> None:
    masks: Sequence[LabelMap] = [colored(tmp_path / "a.png", RED, GREEN), grey(tmp_path / "b.png", 1, 2)][::order]
    with pytest.raises(InputError, match="holds ids.* colours" if order > 0 else "holds colours.* ids"):
        ids_in(shared_ids(masks), masks[1])


def test_no_more_masks_are_read_than_needed(tmp_path: Path) -> None:
    masks: Mapping[str, LabelMap] = {"ids": grey(tmp_path / "a.png", 3), "white": grey(tmp_path / "b.png", 255)}
    for label_map in masks.values():
        later = iter([label_map, label_map])
        shared_ids(later)
        assert len(list(later)) == 1
