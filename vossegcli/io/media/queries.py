"""Images to segment one by one: a file, a folder, a tree, a glob, or the frames of a video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from vossegcli.errors import InputError
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key
from vossegcli.io.records.json_files import read_json
from vossegcli.io.records.run_records import holds_run

_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Query:
    """An image file, or a video file whose frames are the images.

    Attributes:
        name: POSIX path below the input, without suffix; names the outputs.
        path: the file.
        is_video: whether it is a video.
    """

    name: str
    path: Path
    is_video: bool


def find_queries(text: str) -> tuple[Query, ...]:
    """Find the images and videos that a path or a glob stands for, in natural order.

    Args:
        text: a file, a folder (searched at any depth, hidden files and outputs of runs left out), a pattern with `*`,
            `?` or `[`, or a COCO file, which stands for the images that it lists.

    Raises:
        InputError: nothing is there, or two files would share the name of their outputs.
    """
    path = Path(text)
    if path.is_dir():
        root, files = path, list(_files_below(path))
    elif is_listing(text):
        root, files = path.parent, [path.parent / name for name in _listed(path)]
    elif path.exists():
        root, files = path.parent, [path]
    elif _WILD & set(text):
        root = _fixed_part(path)
        files = list(root.glob(path.relative_to(root).as_posix()))
        files = [file for found in files for file in (_files_below(found) if found.is_dir() else [found])]
        files = [file for file in files if not any(holds_run(folder) for folder in _folders_between(root, file))]
    else:
        raise InputError("does not exist", where=text, fix="check the path")
    known = [file for file in dict.fromkeys(files) if file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES]
    if not known:
        raise InputError("holds no images", where=text, fix="give an image, a folder of images, a pattern, or a video")
    queries = [
        Query(file.relative_to(root).with_suffix("").as_posix(), file, file.suffix.lower() in VIDEO_SUFFIXES)
        for file in known
    ]
    seen: dict[str, Path] = {}
    for query in queries:
        other = seen.setdefault(query.name, query.path)
        if other != query.path:
            raise InputError(f"has the same name as {other.name} but for the suffix", where=query.path, fix="rename it")
    return tuple(sorted(queries, key=lambda query: natural_key(query.name)))


def is_listing(text: str) -> bool:
    """Whether a path is a COCO file, which lists images."""
    return Path(text).suffix.lower() == ".json" and Path(text).is_file()


def queries_name(text: str) -> str:
    """A name for the outputs of a path or pattern: its folder's or file's, without wildcards; it may be empty."""
    path = Path(text)
    return (path.resolve().name if path.is_dir() else path.stem).strip("*?[]")


def _listed(path: Path) -> list[PurePath]:
    payload = read_json(path)
    try:
        names = [PurePath(image["file_name"]) for image in payload["images"]]
    except (KeyError, TypeError) as error:
        raise InputError("has no list of images", where=path, fix="give a COCO instances file") from error
    for name in names:
        if name.is_absolute() or ".." in name.parts:
            fix = "give the images with --annotations, or paths below the file's folder"
            raise InputError(f"lists '{name}', which is not below it", where=path, fix=fix)
    return names


def _files_below(folder: Path) -> Iterator[Path]:
    visited = set()
    for path, names, files in os.walk(folder, followlinks=True):
        real = Path(path).resolve()
        if real in visited:
            names.clear()
            continue
        visited.add(real)
        names[:] = [name for name in names if not name.startswith(".") and not holds_run(Path(path, name))]
        yield from (Path(path) / file for file in files if not file.startswith("."))


def _folders_between(root: Path, file: Path) -> Iterator[Path]:
    """The folders below a root that a file lies in."""
    for folder in file.parents:
        if folder == root:
            return
        yield folder


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part with a wildcard."""
    fixed = Path(pattern.anchor)
    for part in pattern.relative_to(pattern.anchor).parts[:-1]:
        if _WILD & set(part):
            break
        fixed /= part
    return fixed
