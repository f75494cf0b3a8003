"""Folders of classes: distinct on every file system, and read back; known folders."""

from pathlib import Path

import pytest

from vossegcli.io.records.file_names import folders_of_labels, label_of_folder, subfolder


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("nucleus", "nucleus"),
        ("Traffic light 3", "Traffic light 3"),
        ("Möwe", "Möwe"),
        ("100%", "100%"),
        ("", "%"),
        ("%", "%25"),
        ("a_b", "a_b"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E%2E"),
        (".git", "%2Egit"),
        ("etc.", "etc%2E"),
        ("blank ", "blank%20"),
        ("line\n", "line%0A"),
        ('C:\\x "y"', "C%3A%5Cx %22y%22"),
        ("\udcff", "\udcff"),
    ],
)
def test_the_folder_of_a_class_is_called_like_it(label: str, folder: str) -> None:
    assert folders_of_labels([label]) == {label: folder}
    assert label_of_folder(folder) == label


@pytest.mark.parametrize(
    "labels",
    [
        ("a/b", "a_b", "a\\b", "a%2Fb", "a:b"),
        ("cat", "Cat", "CAT", "%43at"),
        ("etc.", "etc", "etc..", "etc. "),
        ("", "_", "%", "%25", " "),
        ("M\u00f6we", "Mo\u0308we", "m\u00f6we"),
        ("Stra\u00dfe", "strasse", "STRASSE"),
        ("\udcff", "\udcfe"),
    ],
)
def test_folders_of_classes_differ_whatever_the_file_system(labels: tuple[str, ...]) -> None:
    folders = folders_of_labels(labels)
    assert folders == folders_of_labels(reversed(labels)), "whatever the order"
    assert len({folder.casefold() for folder in folders.values()}) == len(labels)
    assert all(folder.strip(". ") == folder for folder in folders.values())
    assert {folder: label_of_folder(folder) for folder in folders.values()} == {
        f: label for label, f in folders.items()
    }


def test_only_names_that_may_be_taken_for_one_are_written_differently() -> None:
    assert folders_of_labels(["Dog", "cat", "Cat"]) == {"Dog": "Dog", "cat": "cat", "Cat": "%43at"}


def test_known_folders_are_found_whatever_their_cases(tmp_path: Path) -> None:
    for name in ("Masks/Deep", "masks2", "IMAGES"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "Frames").touch()
    assert subfolder(tmp_path, "masks", "deep") == tmp_path / "Masks/Deep"
    assert subfolder(tmp_path, "images") == tmp_path / "IMAGES"
    assert subfolder(tmp_path, "frames") == tmp_path / "frames", "a file is none"
    assert subfolder(tmp_path / "absent", "masks") == tmp_path / "absent/masks"
    if not (tmp_path / "masks").exists():  # a file system that tells cases apart
        (tmp_path / "masks").mkdir()
        assert subfolder(tmp_path, "masks") == tmp_path / "masks"
