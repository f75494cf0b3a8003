"""Supports of few-shot segmentation: the three layouts, and what is wrong with broken ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_mask, squares, write_frame
from vossegcli.errors import InputError
from vossegcli.io.datasets.supports import Support, find_supports, read_support
from vossegcli.io.results.rle import compressed_rle


def pair(image: Path, mask: Path, ids: tuple[int, ...] = (1,)) -> None:
    write_frame(image, squares(0, ids))
    draw_mask(mask, ids)


def test_images_and_masks(tmp_path: Path) -> None:
    for name, ids in (("a", (1, 7)), ("b", (7,))):
        pair(tmp_path / "images" / f"{name}.png", tmp_path / "masks" / f"{name}.png", ids)
    found = find_supports(tmp_path).classes
    assert {name: [s.image.stem for s in supports] for name, supports in found.items()} == {"1": ["a"], "7": ["a", "b"]}
    image, mask = read_support(found["7"][0])
    assert image.shape == (48, 64, 3)
    assert np.array_equal(mask, squares(0, (1, 7)) == 7)


def test_pairs_side_by_side(tmp_path: Path) -> None:
    pair(tmp_path / "2.jpg", tmp_path / "2.png")
    pair(tmp_path / "10.jpg", tmp_path / "10.png")
    assert find_supports(tmp_path).classes == {
        "1": tuple(Support(tmp_path / f"{n}.jpg", tmp_path / f"{n}.png", 1) for n in (2, 10))
    }


def test_a_color_is_one_class_in_all_masks(tmp_path: Path) -> None:
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    for name, ids in (("a", (1, 2)), ("b", (1,))):
        write_frame(tmp_path / f"{name}.jpg", squares(0, ids))
        Image.fromarray(colors[squares(0, ids)]).save(tmp_path / f"{name}.png")
    found = find_supports(tmp_path)
    assert {name: [s.image.stem for s in shown] for name, shown in found.classes.items()} == {
        "1": ["a"],
        "2": ["a", "b"],
    }
    assert np.array_equal(read_support(found.classes["2"][1])[1], squares(0, (1,)) == 1)
    assert found.notes == ("masks of the supports: colours read as objects: (0, 255, 0) = 1, (255, 0, 0) = 2",)


def test_a_folder_a_class(tmp_path: Path) -> None:
    pair(tmp_path / "cat" / "1.jpg", tmp_path / "cat" / "1.png", (3, 5))
    pair(tmp_path / "dog" / "images" / "x.png", tmp_path / "dog" / "masks" / "x.png")
    found = find_supports(tmp_path).classes
    assert list(found) == ["cat", "dog"]
    assert np.array_equal(read_support(found["cat"][0])[1], squares(0, (3, 5)) > 0), "all ids are the class"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "a.png").unlink(), "a.jpg: has no mask"),
        (lambda d: (d / "a.jpg").unlink(), "PNG files alone"),
        (lambda d: Image.new("L", (64, 48)).save(d / "a.png"), "a.png: holds no object"),
        (lambda d: (d / "a.jpg").rename(d / "b.jpg"), "b.jpg: has no mask"),
        (lambda d: draw_mask(d / "c.png"), "c.png: has no image"),
    ],
)
def test_broken_pairs_are_named(tmp_path: Path, spoil: object, message: str) -> None:
    pair(tmp_path / "a.jpg", tmp_path / "a.png")
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        find_supports(tmp_path)


def test_masks_must_fit_and_leave_background(tmp_path: Path) -> None:
    pair(tmp_path / "a.jpg", tmp_path / "a.png")
    draw_mask(tmp_path / "a.png", size=(20, 30))
    with pytest.raises(InputError, match="30x20"):
        read_support(Support(tmp_path / "a.jpg", tmp_path / "a.png", None))
    Image.new("L", (64, 48), 255).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="full"):
        read_support(Support(tmp_path / "a.jpg", tmp_path / "a.png", None))
    nothing = compressed_rle({"size": [48, 64], "counts": [48 * 64]}, 48, 64)
    with pytest.raises(InputError, match=r"notes\.json: is empty"):
        read_support(Support(tmp_path / "a.jpg", tmp_path / "notes.json", None, (nothing,)))


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_folders_without_supports(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        find_supports(tmp_path / name)
