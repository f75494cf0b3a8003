"""Ids of images, videos and categories in results: those of an annotation file, or running numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import read_coco_categories
from vossegcli.io.datasets.ids import Id
from vossegcli.io.datasets.shapes import Faults
from vossegcli.io.datasets.tools.coco import read_listed
from vossegcli.io.media.image_files import as_posix
from vossegcli.io.media.queries import Query
from vossegcli.io.records.json_files import read_json
from vossegcli.types import FrameSequence


def find_image_ids(queries: Sequence[Query], annotations: Path | None) -> dict[str, Id]:
    """The id of each query's image by the query's name.

    Without annotations they are numbered 1, 2, ... in their order. Else the `file_name` of an image of the annotations
    must have the name of the query's file, or else its name without suffix; of several, the path that the query's path
    ends with, the longest first.

    Raises:
        InputError: the annotations cannot be read, or an image is not in them, or in doubt.
    """
    if annotations is None:
        return {query.name: number for number, query in enumerate(queries, start=1)}
    images = _listed(annotations, "images", "give a COCO instances file")
    listed = [(PurePosixPath(as_posix(_name(image, "file_name", annotations))), i) for i, image in images.items()]
    by_name: dict[str, list[tuple[PurePosixPath, Id]]] = {}
    by_stem: dict[str, list[tuple[PurePosixPath, Id]]] = {}
    for path, image_id in listed:
        by_name.setdefault(path.name, []).append((path, image_id))
        by_stem.setdefault(path.stem, []).append((path.with_suffix(""), image_id))
    found = {}
    for query in queries:
        candidates = by_name.get(query.path.name, [])
        own = PurePosixPath(query.path.resolve().as_posix())
        if not candidates:
            candidates, own = by_stem.get(query.path.stem, []), own.with_suffix("")
        if len(candidates) > 1:
            candidates = _closest(own, [(path, i) for path, i in candidates if _ends_alike(path, own)])
        if len(candidates) != 1:
            what = "is not in the annotations" if not candidates else "is in the annotations more than once"
            raise InputError(what, where=query.path, fix=f"give images of {annotations}")
        found[query.name] = candidates[0][1]
    return found


def find_video_ids(sequences: Sequence[FrameSequence], annotations: Path | None) -> dict[str, Id]:
    """The id of each sequence's video by the sequence's name.

    Without annotations they are numbered 1, 2, ... in their order. Else the folder of the `file_names` of a video of
    the YouTube-VIS annotations must be the name of the sequence, or the shorter of the two the end of the longer.

    Raises:
        InputError: the annotations cannot be read, or a sequence is not in them, or in doubt.
    """
    if annotations is None:
        return {sequence.name: number for number, sequence in enumerate(sequences, start=1)}
    videos = _listed(annotations, "videos", "give a YouTube-VIS file")
    listed = [(PurePosixPath(as_posix(_name(video, "file_names", annotations))), i) for i, video in videos.items()]
    found = {}
    for sequence in sequences:
        own = PurePosixPath(sequence.name)
        ids = [number for path, number in listed if path.parent == own]
        if not ids:
            alike = [(path.parent, number) for path, number in listed if _ends_alike(path.parent, own)]
            ids = [number for _, number in _closest(own, alike)]
        if len(ids) != 1:
            what = "is not in the annotations" if not ids else "is in the annotations more than once"
            raise InputError(what, where=Path(sequence.name), fix=f"give sequences of {annotations}")
        found[sequence.name] = ids[0]
    return found


def ids_by_name(listed: Mapping[Id, dict[str, Any]]) -> dict[str, Id]:
    """The ids of images by path, name and stem of their files, where only one image has it.

    Args:
        listed: the entries of `images` by id.
    """
    names: dict[str, set[Id]] = {}
    for number, item in listed.items():
        path = PurePosixPath(as_posix(str(item.get("file_name") or "")))
        for name in {str(path), path.name, path.stem}:
            names.setdefault(name, set()).add(number)
    return {name: next(iter(ids)) for name, ids in names.items() if len(ids) == 1}


def id_of_name(text: str, named: Mapping[str, Id]) -> Id | None:
    """Look up an image by its name in `ids_by_name`, or by a path of another machine."""
    path = PurePosixPath(as_posix(text))
    return next((named[name] for name in (text, str(path), path.name) if name in named), None)


def _closest(own: PurePosixPath, alike: list[tuple[PurePosixPath, Id]]) -> list[tuple[PurePosixPath, Id]]:
    """Keep the paths that have the most parts in common with our own, of those that end alike."""
    common = [min(len(path.parts), len(own.parts)) for path, _ in alike]
    return [pair for pair, count in zip(alike, common, strict=True) if count == max(common)]


def _ends_alike(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Return True if the shorter of two paths is the end of the longer one."""
    common = min(len(one.parts), len(other.parts))
    return common > 0 and one.parts[-common:] == other.parts[-common:]


def _listed(annotations: Path, owners: str, fix: str) -> dict[Id, dict[str, Any]]:
    """The entries of a list by id."""
    payload = read_json(annotations)
    if not isinstance(payload, dict) or not isinstance(payload.get(owners), list):
        raise InputError(f"has no list '{owners}'", where=annotations, fix=fix)
    faults = Faults(annotations)
    found = read_listed(payload, owners, faults)
    faults.check("give each an id of its own")
    return found


def _name(item: dict[str, Any], field: str, annotations: Path) -> str:
    """The file name of an image, or that of a video's first frame."""
    value = item.get(field)
    name = value[0] if isinstance(value, list) and value else value
    if not isinstance(name, str):
        raise InputError(f"the entry with the id {item.get('id')} has no {field}", where=annotations, fix="give it one")
    return name


def read_category_ids(labels: Sequence[str], annotations: Path | None) -> tuple[int, ...]:
    """The category id of each of the checkpoint's classes: the annotations' by name, else 1, 2, ...

    Classes that the annotations lack get ids above theirs.

    Raises:
        InputError: the annotations cannot be read.
    """
    if annotations is None:
        return tuple(range(1, len(labels) + 1))
    ids = {name: number for number, name in read_coco_categories(annotations).items()}
    free = max(ids.values(), default=0)
    return tuple(ids[name] if name in ids else free + 1 + number for number, name in enumerate(labels))
