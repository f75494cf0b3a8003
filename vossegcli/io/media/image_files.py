"""Finding the images of an annotation file: in the usual places, or below a folder that the user gives.

The same rule for every command. A name in a file may have Windows separators, be absolute on another machine, or name
a folder that is not here; as much of its end is used as leads to a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from vossegcli.errors import InputError
from vossegcli.io.media.contents import files_below
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, subfolder

_DRIVE = re.compile(r"^[A-Za-z]:")
_SUBFOLDERS = ("", "images", "images/default", "JPEGImages", "data", "imgs", "img", "train", "val", "test")
_PREFIXES = ("instances_", "lvis_v1_", "person_keypoints_", "annotations_", "coco_")


def as_posix(name: str) -> str:
    """Write a path of any system with `/`, without drive."""
    return _DRIVE.sub("", name.replace("\\", "/")).removeprefix("./")


class ImageFinder:
    """Finds images by the names that an annotation file gives them.

    Args:
        annotations: the file or folder.
        folder: that the images lie below, from the user; None = the usual places.

    Raises:
        InputError: the folder is none.
    """

    def __init__(self, annotations: Path, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise InputError(what, where=folder, fix="give the folder of the images")
        self._roots = list(dict.fromkeys(_roots(annotations, folder)))
        self._below = folder
        self._folders: dict[Path, dict[str, Path]] = {}
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path | None:
        """Find an image.

        Args:
            name: as the annotation file gives it.

        Returns:
            None if it is nowhere.
        """
        posix = as_posix(name)
        given = Path(posix)
        if given.is_absolute() and given.is_file():
            return given
        parts = [part for part in PurePosixPath(posix).parts if part not in {"/", ".."}]
        for number, root in ((n, r) for n in range(len(parts)) for r in self._roots):
            path = root.joinpath(*parts[number:])
            if path.is_file():
                self._roots.remove(root)
                self._roots.insert(0, root)  # the next one is likely to be there too
                return path
        return self._by_stem(parts) if parts else None

    def expected(self, name: str) -> Path:
        """Return the first path that an image is looked for at, for messages."""
        return self._roots[0] / as_posix(name).lstrip("/")

    def _by_stem(self, parts: list[str]) -> Path | None:
        """The file whose name differs in the suffix alone, or the only one of its name below the user's folder."""
        wanted = PurePosixPath(parts[-1]).stem
        for root in self._roots:
            for number in range(len(parts)):
                found = self._stems(root.joinpath(*parts[number:-1])).get(wanted)
                if found is not None:
                    return found
        if self._below is None:
            return None
        if self._by_name is None:
            self._by_name = {}
            for path in files_below(self._below):
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                    self._by_name.setdefault(path.name, []).append(path)
        same = self._by_name.get(parts[-1], [])
        return same[0] if len(same) == 1 else None

    def _stems(self, folder: Path) -> dict[str, Path]:
        if folder not in self._folders:
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            self._folders[folder] = {f.stem: f for f in reversed(files) if f.suffix.lower() in IMAGE_SUFFIXES}
        return self._folders[folder]


def find_beside(annotations: Path, name: str) -> Path | None:
    """Find the image of a file that annotates one image: by its name, or the file's own with another suffix."""
    finder = ImageFinder(annotations)
    found = finder.find(name) if name else None
    return found or finder.find(annotations.with_suffix(".jpg").name)


def _roots(annotations: Path, folder: Path | None) -> Iterator[Path]:
    """The folders that names may be relative to, likeliest first."""
    names = list(_subset_names(annotations.stem))
    if folder is not None:
        yield from _with_subfolders(folder, names)
        return
    beside = annotations if annotations.is_dir() else annotations.parent
    yield from _with_subfolders(beside, names)
    yield from _with_subfolders(beside.parent, names)


def _with_subfolders(root: Path, names: Iterable[str]) -> Iterator[Path]:
    listed = list(names)
    for below in (*_SUBFOLDERS, *listed, *(f"images/{name}" for name in listed)):
        folder = subfolder(root, *Path(below).parts)
        if folder.is_dir():
            yield folder


def _subset_names(stem: str) -> Iterator[str]:
    """Folders that are named like the file: `train2017` of `instances_train2017.json`."""
    yield stem
    for prefix in _PREFIXES:
        if stem.startswith(prefix):
            yield stem.removeprefix(prefix)
    for part in re.split(r"[_\-. ]", stem):
        if part in {"train", "val", "test", "valid"}:
            yield part
