from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vossegcli.errors import ConfigError, InputError
from vossegcli.runners.evaluate.selection import (
    Selection,
    parse_names,
    read_image_list,
    select_maps,
    select_results,
    select_truth,
)

TRUTH: dict[str, Any] = {
    "categories": [{"id": 3, "name": "nucleus"}, {"id": 5, "name": "cell"}],
    "images": [{"id": 1, "file_name": "a/x.png"}, {"id": 2, "file_name": "y.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3}, {"id": 2, "image_id": 2, "category_id": 5},
        {"id": 3, "image_id": 2, "category_id": 3},
    ],
}  # fmt: skip
RESULTS = [
    {"image_id": 1, "category_id": 3, "score": 0.9}, {"image_id": 2, "category_id": 5, "score": 0.8},
    {"image_id": 2, "category_id": 7, "score": 0.7},
]  # fmt: skip


def chosen(selection: Selection, classes: dict[int, str] | None = None) -> tuple[list[Any], list[Any], list[str]]:
    truth = select_truth(TRUTH, selection, "images")
    results, problems = select_results(RESULTS, TRUTH, truth, selection, classes or {}, "images")
    rows = [(one["image_id"], one["category_id"]) for one in results]
    return [one["id"] for one in truth["annotations"]], rows, [problem.detail for problem in problems]


def test_classes_that_the_truth_lacks_are_ignored_and_counted() -> None:
    annotations, rows, problems = chosen(Selection({}))
    assert annotations == [1, 2, 3]
    assert rows == [(1, 3), (2, 5)]
    assert problems == ["1 result of a class that the ground truth does not list"]


@pytest.mark.parametrize(("name", "classes"), [("7", {}), ("Nuclei", {7: "Nuclei"})])
def test_names_are_mapped(name: str, classes: dict[int, str]) -> None:
    _, rows, problems = chosen(Selection({name: "nucleus"}), classes)
    assert rows == [(1, 3), (2, 5), (2, 3)]
    assert problems == []


def test_names_can_be_exchanged() -> None:
    _, rows, _ = chosen(Selection({"3": "cell", "5": "nucleus"}))
    assert rows == [(1, 5), (2, 3)]


def test_without_classes() -> None:
    annotations, rows, _ = chosen(Selection({}, class_agnostic=True))
    assert annotations == [1, 2, 3]
    assert rows == [(1, 1), (2, 1), (2, 1)]


@pytest.mark.parametrize("name", ["cell", "5"])
def test_some_classes(name: str) -> None:
    annotations, rows, _ = chosen(Selection({}, classes=(name,)))
    assert annotations == [2]
    assert rows == [(2, 5)]


@pytest.mark.parametrize("name", ["2", "y.png", "y"])
def test_some_images(name: str) -> None:
    annotations, rows, _ = chosen(Selection({}, images=frozenset({name})))
    assert annotations == [2, 3]
    assert rows == [(2, 5)]


@pytest.mark.parametrize("name", ["a/x.png", "x.png", "x"])
def test_images_in_folders(name: str) -> None:
    assert chosen(Selection({}, images=frozenset({name})))[0] == [1]


def test_results_that_cover_a_part_say_so() -> None:
    selection = Selection({}, classes=("nucleus",))
    truth = select_truth(TRUTH, selection, "images")
    _, problems = select_results(RESULTS, TRUTH, truth, selection, {}, "images")
    assert "1 of 2 images with objects has no result" in [problem.detail for problem in problems]


def test_what_is_asked_for_must_be_there() -> None:
    for selection, match in (
        (Selection({}, classes=("bear",)), "'bear' is not a class.*nucleus, cell"),
        (Selection({}, images=frozenset({"z"})), "none of the images"),
    ):
        with pytest.raises(InputError, match=match):
            select_truth(TRUTH, selection, "images")
    with pytest.raises(InputError, match="'bear' is not a class"):
        chosen(Selection({"3": "bear"}))


def test_videos_are_named_by_their_folder() -> None:
    truth = {
        "categories": [{"id": 1}], "annotations": [{"video_id": 1, "category_id": 1}],
        "videos": [{"id": 1, "file_names": ["dish/01/0.png", "dish/01/1.png"]}, {"id": 2, "file_names": ["b/0.png"]}],
    }  # fmt: skip
    found = select_truth(truth, Selection({}, images=frozenset({"dish/01"})), "videos")
    assert [video["id"] for video in found["videos"]] == [1]


def test_parsing_of_names() -> None:
    assert parse_names("nucleus=Nucleus, cell = nucleus") == {"nucleus": "Nucleus", "cell": "nucleus"}
    assert parse_names("") == {}
    for text in ("nucleus", "=a", "a=", "a=b,a=c"):
        with pytest.raises(ConfigError):
            parse_names(text)


def test_lists_of_images(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a\n\n b.png \n")
    assert read_image_list(tmp_path / "list.txt") == {"a", "b.png"}
    (tmp_path / "empty.txt").write_text("\n")
    for name in ("empty.txt", "gone.txt"):
        with pytest.raises(InputError):
            read_image_list(tmp_path / name)


@pytest.mark.parametrize("name", ["b/2", "2", "2.png", "b/2.png"])
def test_some_label_maps(name: str) -> None:
    maps = {"a/1": Path("a/1.png"), "b/2": Path("b/2.png")}
    chosen, notes = select_maps(maps, Selection({}, images=frozenset({name})))
    assert (list(chosen), notes) == (["b/2"], ())
    assert select_maps(maps, Selection({})) == (maps, ())
    with pytest.raises(InputError, match="none of the images"):
        select_maps(maps, Selection({}, images=frozenset({"c"})))


def test_lists_of_other_tools() -> None:
    """Paths of another machine, as YOLO lists them, where none is that of an image; what is not there is told."""
    maps = {"1": Path("1.png"), "2": Path("2.png")}
    chosen, notes = select_maps(maps, Selection({}, images=frozenset({"./images/2.png", "D:\\set\\3.png"})))
    assert list(chosen) == ["2"]
    assert notes == ("1 of 2 names of the list is not in the ground truth: D:\\set\\3.png",)
    found = select_truth(TRUTH, Selection({}, images=frozenset({"y", "gone"})), "images")
    assert found["notes"] == ("1 of 2 names of the list is not in the ground truth: gone",)
