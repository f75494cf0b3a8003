"""Annotations as folders of label maps: what commands that follow or compare objects read."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vossegcli.errors import InputError
from vossegcli.io.datasets.object_ids import draw_label_map, number_objects
from vossegcli.io.datasets.shapes import Annotations, ShapedImage
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.wording import counted

CLASSES = "classes.json"


@dataclass(frozen=True)
class WrittenMasks:
    """Label maps in a folder: `<folder of the image>/<stem of the image>.png`, and `classes.json` in each folder.

    Attributes:
        folder: that they lie in.
        notes: what was interpreted.
        sources: the files that they were made of, where they are not one file or folder.
    """

    folder: Path
    notes: tuple[str, ...]
    sources: tuple[Path, ...] = ()


def write_label_maps(annotations: Annotations, folder: Path, on_top: Collection[int] = ()) -> WrittenMasks:
    """Write a label map for each image; the images of one folder are frames of one sequence, with ids of its own.

    Args:
        annotations: of any tool.
        folder: to write to.
        on_top: ids of objects that lie above all others.

    Raises:
        InputError: two images have the same name, or a file cannot be written.
    """
    sequences: dict[PurePosixPath, dict[str, ShapedImage]] = {}
    for image in annotations.images:
        place = PurePosixPath(image.name.lstrip("/"))
        frames = sequences.setdefault(PurePosixPath(*(part for part in place.parent.parts if part != "..")), {})
        if place.stem in frames:
            raise InputError(
                f"lists two images called '{place.stem}'", where=annotations.path, fix="rename one of them"
            )
        frames[place.stem] = image
    notes = list(annotations.notes)
    for below, frames in sequences.items():
        found = number_objects(annotations, list(frames.values()))
        notes += found.notes
        overlap = 0
        for stem, image in frames.items():
            ids_map, shared = draw_label_map(image, found.ids, on_top)
            overlap += shared
            write_label_map(folder / below / f"{stem}.png", ids_map)
        if overlap:
            upper = "a chosen one, else the later one of the file" if on_top else "the later one of the file"
            notes.append(f"{counted(overlap, 'pixel[|s] belong[s|]')} to several objects: {upper} lies on top")
        write_classes(folder / below / CLASSES, found.names)
    return WrittenMasks(folder, tuple(dict.fromkeys(notes)))


def write_classes(path: Path, names: Mapping[int, str]) -> None:
    """Write the names of ids, `{"1": "cat"}`.

    Raises:
        InputError: the file cannot be written.
    """
    write_text_atomic(path, json.dumps({str(number): name for number, name in names.items()}, indent=1) + "\n")


def read_classes(folder: Path) -> dict[int, str]:
    """Read the names of ids beside masks; none where there is no such file or it holds something else."""
    try:
        payload = json.loads((folder / CLASSES).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(payload, dict):
        return {}
    return {int(number): str(name) for number, name in payload.items() if number.isdecimal() and isinstance(name, str)}
