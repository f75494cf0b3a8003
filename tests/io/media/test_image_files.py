"""The usual places of images, and names as other systems write them."""

from pathlib import Path

import pytest
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.datasets.ids import look_up, read_category_id, read_id
from vossegcli.io.media.image_files import ImageFinder


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2)).save(path)
    return path


@pytest.mark.parametrize(
    ("annotations", "image"),
    [
        ("x.json", "a.jpg"),
        ("x.json", "images/a.jpg"),
        ("annotations/x.json", "images/a.jpg"),
        ("annotations/x.json", "images/default/a.jpg"),
        ("annotations/instances_train2017.json", "train2017/a.jpg"),
        ("annotations/instances_train2017.json", "images/train2017/a.jpg"),
        ("annotations/train.json", "train/a.jpg"),
        ("annotations/instances_default.json", "images/default/a.jpg"),
        ("annotations/x.json", "a.jpg"),
        ("annotations/x.json", "JPEGImages/a.jpg"),
    ],
)
@pytest.mark.parametrize(
    "name", ["a.jpg", "./a.jpg", "C:\\Users\\me\\set\\a.jpg", "/home/me/set/a.jpg", "a.png", "default/a.jpg"]
)
def test_usual_places(tmp_path: Path, annotations: str, image: str, name: str) -> None:
    wanted = put(tmp_path / "set" / image)
    found = ImageFinder(tmp_path / "set" / annotations).find(name)
    assert found is not None
    assert found.samefile(wanted)


def test_as_much_of_the_path_as_there_is_counts(tmp_path: Path) -> None:
    """Images of one name in two folders are told apart."""
    wanted = {name: put(tmp_path / "set" / name) for name in ("one/a.jpg", "two/a.jpg")}
    finder = ImageFinder(tmp_path / "set" / "x.json")
    for name, path in wanted.items():
        assert finder.find(name) == path
        assert finder.find(f"D:\\work\\{name}".replace("/", "\\")) == path
    assert finder.find("three/b.jpg") is None


def test_a_folder_of_the_user_comes_first_and_is_searched(tmp_path: Path) -> None:
    put(tmp_path / "set" / "a.jpg")
    wanted = put(tmp_path / "pictures" / "deep" / "below" / "a.jpg")
    finder = ImageFinder(tmp_path / "set" / "x.json", tmp_path / "pictures")
    assert finder.find("a.jpg") == wanted
    assert finder.find("/mnt/old/below/a.jpg") == wanted
    put(tmp_path / "pictures" / "other" / "a.jpg")
    assert ImageFinder(tmp_path / "set" / "x.json", tmp_path / "pictures").find("a.jpg") is None, "which of the two?"


def test_an_absolute_path_that_is_there(tmp_path: Path) -> None:
    wanted = put(tmp_path / "far" / "a.jpg")
    assert ImageFinder(tmp_path / "set" / "x.json").find(str(wanted)) == wanted


def test_ids() -> None:
    assert [read_id(v) for v in (3, "000139", 1.0, "a")] == [3, "000139", 1, "a"]
    assert [read_id(v) for v in (True, None, 1.5, float("nan"), "", [1])] == [None] * 6
    assert [read_category_id(v) for v in (1, "1", 1.0, " 2 ")] == [1, 1, 1, 2]
    assert [read_category_id(v) for v in ("cat", None, 1.2, "²")] == [None] * 4
    listed = {139: "a", "000140": "b"}
    assert [look_up(v, listed) for v in (139, "139", 139.0, "000140", "140", 140, 7)] == [
        139, 139, 139, "000140", None, None, None
    ]  # fmt: skip


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    for folder in (tmp_path / "gone", tmp_path / "x.json"):
        with pytest.raises(InputError, match="folder of the images"):
            ImageFinder(tmp_path / "x.json", folder)
