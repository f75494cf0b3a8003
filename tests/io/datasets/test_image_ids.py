"""Image ids.

Covers: io.media.queries
"""

import json
from pathlib import Path

import pytest

from vossegcli.errors import InputError
from vossegcli.io.datasets.image_ids import find_image_ids, find_video_ids, read_category_ids
from vossegcli.io.media.queries import Query
from vossegcli.types import FrameSequence


def coco(folder: Path, *names: str) -> Path:
    path = folder / "coco.json"
    path.write_text(json.dumps({"images": [{"id": k, "file_name": name} for k, name in enumerate(names, start=10)]}))
    return path


def ytvis(folder: Path, *names: str) -> Path:
    path = folder / "ytvis.json"
    videos = [{"id": k, "file_names": [f"{name}/00000.jpg"]} for k, name in enumerate(names, start=10)]
    path.write_text(json.dumps({"videos": videos}))
    return path


def query(name: str, folder: Path = Path("/data/images")) -> Query:
    return Query(name.removesuffix(".jpg"), folder / name, is_video=False)


def sequence(name: str) -> FrameSequence:
    return FrameSequence(name, (), None, "folder", None)


def test_without_annotations_ids_are_running_numbers() -> None:
    assert find_image_ids([query("b.jpg"), query("a.jpg")], None) == {"b": 1, "a": 2}
    assert find_video_ids([sequence("b"), sequence("a")], None) == {"b": 1, "a": 2}


@pytest.mark.parametrize("listed", [("a.jpg", "x/a.jpg", "y/x/a.jpg"), ("y/x/a.jpg", "x/a.jpg", "a.jpg")])
def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, listed: tuple[str, ...]) -> None:
    file = coco(tmp_path, *listed)
    numbers = {name: number for number, name in enumerate(listed, start=10)}
    found = find_image_ids([query("a.jpg"), query("x/a.jpg"), query("y/x/a.jpg"), query("z/a.jpg")], file)
    assert found == {"a": numbers["a.jpg"], "x/a": numbers["x/a.jpg"], "y/x/a": numbers["y/x/a.jpg"],
                     "z/a": numbers["a.jpg"]}  # fmt: skip


@pytest.mark.parametrize("listed", [("a", "x/a", "y/x/a"), ("y/x/a", "x/a", "a")])
def test_videos_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, listed: tuple[str, ...]) -> None:
    file = ytvis(tmp_path, *listed)
    numbers = {name: number for number, name in enumerate(listed, start=10)}
    names = {"a": "a", "x/a": "x/a", "y/x/a": "y/x/a", "z/y/x/a": "y/x/a", "z/a": "a"}
    found = find_video_ids([sequence(name) for name in names], file)
    assert found == {name: numbers[listed_name] for name, listed_name in names.items()}


def test_what_is_listed_twice_or_not_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x/a\.jpg: is in the annotations more than once"):
        find_image_ids([query("x/a.jpg")], coco(tmp_path, "x/a.jpg", "x/a.jpg"))
    with pytest.raises(InputError, match=r"z/a\.jpg: is not in the annotations"):
        find_image_ids([query("z/a.jpg")], coco(tmp_path, "x/a.jpg", "y/a.jpg"))
    with pytest.raises(InputError, match="a: is in the annotations more than once"):
        find_video_ids([sequence("a")], ytvis(tmp_path, "x/a", "y/a"))
    with pytest.raises(InputError, match="b: is not in the annotations"):
        find_video_ids([sequence("b")], ytvis(tmp_path, "x/a"))


def test_categories_take_the_ids_of_the_annotations_and_others_come_above_them(tmp_path: Path) -> None:
    file = tmp_path / "coco.json"
    file.write_text(json.dumps({"categories": [{"id": 7, "name": "a"}, {"id": 3, "name": "b"}]}))
    found = read_category_ids(["b", "x", "y", "a"], file)
    assert (found[0], found[3]) == (3, 7)
    assert 7 < found[1] < found[2]
    assert read_category_ids(["b", "x"], None) == (1, 2)
