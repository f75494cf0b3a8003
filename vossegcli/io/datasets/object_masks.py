"""Folders with a mask an object: `<frame>/<object>.png`, `<object>/<frame>.png` or `<frame>_<object>.png`.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.datasets.label_map_folders import CLASSES, write_classes
from vossegcli.io.masks.label_maps import read_label_map, write_label_map
from vossegcli.io.media.images import size_text
from vossegcli.io.media.sequences import list_images
from vossegcli.io.records.file_names import natural_key
from vossegcli.wording import counted

ObjectMasks = dict[str, dict[str, Path]]
_LARGEST_ID = 65535


def find_object_masks(folder: Path, frames: Sequence[str]) -> ObjectMasks:
    """Find masks of single objects in the subfolders of a folder, or in files named after frame and object.

    Args:
        folder: the folder.
        frames: names of the frames.

    Returns:
        mask by object by frame; empty where the folder is of another kind.
    """
    wanted = set(frames)
    files = list_images(folder)
    if files:
        return _by_prefix(files, wanted)
    subfolders = {f.name: f for f in sorted(folder.iterdir(), key=lambda f: natural_key(f.name)) if f.is_dir()}
    shown = {name: list_images(f) for name, f in subfolders.items() if not name.startswith(".")}
    if wanted & set(shown):
        return {name: {file.stem: file for file in files} for name, files in shown.items() if name in wanted and files}
    found: ObjectMasks = {}
    for name, files in shown.items():
        for file in files:
            if file.stem in wanted:
                found.setdefault(file.stem, {})[name] = file
    return dict(sorted(found.items(), key=lambda item: natural_key(item[0])))


def write_object_masks(
    found: Mapping[str, Mapping[str, Path]], folder: Path, on_top: Collection[int] = ()
) -> tuple[str, ...]:
    """Write a label map for each frame, and `classes.json`.

    Args:
        found: mask by object by frame.
        folder: to write to.
        on_top: ids of objects that lie above all others.

    Returns:
        what was interpreted.

    Raises:
        InputError: a mask cannot be read, or has another size than others of its frame.
    """
    names = sorted({name for objects in found.values() for name in objects}, key=natural_key)
    ids = _numbers(names)
    overlap = 0
    for frame, objects in found.items():
        ids_map = None
        for name in sorted(objects, key=lambda name: (ids[name] in on_top, ids[name])):
            mask = read_label_map(objects[name], fix=True, allow_empty=True, repairable=False).ids_map > 0
            if ids_map is None:
                ids_map = np.zeros(mask.shape, np.uint16)
            if mask.shape != ids_map.shape:
                what = f"is {size_text(mask.shape)}, but others of its frame are {size_text(ids_map.shape)}"
                raise InputError(what, where=objects[name], fix="give masks of the frame's size")
            overlap += int((mask & (ids_map > 0)).sum())
            ids_map[mask] = ids[name]
        if ids_map is not None:
            write_label_map(folder / f"{frame}.png", ids_map)
    write_classes(folder / CLASSES, {number: name for name, number in ids.items()})
    notes = ["one mask an object: " + ", ".join(f"{name} = {ids[name]}" for name in names[:8])]
    if overlap:
        upper = "a chosen one, else the one with the greater id" if on_top else "the one with the greater id"
        notes.append(f"{counted(overlap, 'pixel[|s] belong[s|]')} to several objects: {upper} lies on top")
    return tuple(notes)


def _by_prefix(files: Sequence[Path], frames: set[str]) -> ObjectMasks:
    """Files called `<frame>_<object>` or `<frame>-<object>`; nothing where one of them is of a whole frame."""
    found: ObjectMasks = {}
    for file in files:
        cuts = [at for at, sign in enumerate(file.stem) if sign in "_-" and file.stem[:at] in frames]
        if file.stem in frames or not cuts:
            return {}
        at = max(cuts)
        found.setdefault(file.stem[:at], {})[file.stem[at + 1 :]] = file
    names = {name for objects in found.values() for name in objects}
    return found if len(names) > 1 else {}  # `<frame>_mask` is a mask of the whole frame


def _numbers(names: Sequence[str]) -> dict[str, int]:
    """Ids of objects: the numbers that they are called by, else 1, 2, ... in their order."""
    if all(name.isascii() and name.isdecimal() and 0 < int(name) <= _LARGEST_ID for name in names):
        numbers = {name: int(name) for name in names}
        if len(set(numbers.values())) == len(numbers):
            return numbers
    return {name: number for number, name in enumerate(names, start=1)}
