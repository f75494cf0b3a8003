"""From labelled shapes to label maps: which shapes are one object, and which id it has.

The rule, for every tool:

1. Shapes of one label and one group or track are one object. Shapes without a group are objects of their own within an
   image; from image to image the first of a label is the same object, the second likewise, and so on.
2. If every object has a group or track number, and no number stands for two, the numbers are the ids. Likewise if every
   label is a number.
3. Else, if the tool numbers its classes and no image shows two objects of one class, the ids are those numbers.
4. Else the objects are numbered 1, 2, ... in the order of their labels, then of their groups.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vossegcli.io.datasets.shapes import Annotations, Shape, ShapedImage
from vossegcli.io.records.file_names import natural_key

LARGEST_ID = 65535


class ObjectKey(NamedTuple):
    """Key of an object: its label, and its group, track or number among objects of that label."""

    label: str
    key: int | str | None
    ordinal: int


class ObjectIds(NamedTuple):
    """The objects of some images.

    Attributes:
        ids: id of each object.
        names: name of each id, a label with a number where several objects share it.
        notes: what was interpreted.
    """

    ids: Mapping[ObjectKey, int]
    names: Mapping[int, str]
    notes: tuple[str, ...]


def object_keys(image: ShapedImage) -> Iterator[tuple[ObjectKey, Shape]]:
    """Say of each shape of an image which object it belongs to."""
    seen: Counter[str] = Counter()
    for shape in image.shapes:
        if shape.key is not None:
            yield ObjectKey(shape.label, shape.key, 0), shape
        else:
            yield ObjectKey(shape.label, None, seen[shape.label]), shape
            seen[shape.label] += 1


def number_objects(annotations: Annotations, images: Sequence[ShapedImage]) -> ObjectIds:
    """Give every object of some images of a file an id, by the rule above."""
    found = [list(dict.fromkeys(key for key, _ in object_keys(image))) for image in images]
    keys = list(dict.fromkeys(key for listed in found for key in listed))
    ids = _own_numbers(keys) or _class_numbers(annotations, found) or _running_numbers(annotations, keys)
    shared = Counter(key.label for key in keys)
    names = {ids[key]: _name(key, alone=shared[key.label] == 1) for key in sorted(keys, key=ids.__getitem__)}
    doubtful = sorted({key.label for key in keys if key.ordinal})
    notes = []
    if doubtful and len(images) > 1:
        shown = ", ".join(doubtful[:3])
        notes.append(f"several objects are called {shown} without a group id: they were numbered in the file's order")
    if any(ids[key] != key.key for key in keys):
        notes.append("objects: " + ", ".join(f"{i} = {names[i]}" for i in list(names)[:8]))
    return ObjectIds(ids, names, tuple(notes))


def draw_label_map(
    image: ShapedImage, ids: Mapping[ObjectKey, int], on_top: Container[int] = ()
) -> tuple[npt.NDArray[np.uint16], int]:
    """Draw the objects of an image, later shapes on top.

    Args:
        image: the image.
        ids: of its objects.
        on_top: ids of objects that lie above all others.

    Returns:
        (H,W) ids, and how many pixels belong to more than one object.
    """
    ids_map = np.zeros((image.height, image.width), np.uint16)
    shared = np.zeros((image.height, image.width), np.bool_)
    for key, shape in sorted(object_keys(image), key=lambda pair: ids[pair[0]] in on_top):
        mask = shape.mask()
        shared |= mask & (ids_map > 0) & (ids_map != ids[key])
        ids_map[mask] = ids[key]
    return ids_map, int(shared.sum())


def _own_numbers(keys: Iterable[ObjectKey]) -> dict[ObjectKey, int] | None:
    """Numbers of groups or tracks, or labels that are numbers, where each stands for one object."""
    listed = list(keys)
    groups = [key.key for key in listed]
    labels = [key.label if key.key is None and not key.ordinal else None for key in listed]
    for numbers in (groups, labels):
        found = [number for value in numbers if (number := _id(value)) is not None]
        if len(set(found)) == len(listed):
            return dict(zip(listed, found, strict=True))
    return None


def _id(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 0 < value <= LARGEST_ID else None


def _class_numbers(annotations: Annotations, found: Sequence[Sequence[ObjectKey]]) -> dict[ObjectKey, int] | None:
    """The tool's own numbers of the classes, where each class has one object."""
    keys = list(dict.fromkeys(key for listed in found for key in listed))
    if len({key.label for key in keys}) < len(keys):
        return None
    numbers = {key: annotations.class_ids.get(key.label) for key in keys}
    ids = {key: number for key, number in numbers.items() if number is not None and 0 < number <= LARGEST_ID}
    return ids if len(ids) == len(keys) else None


def _running_numbers(annotations: Annotations, keys: Sequence[ObjectKey]) -> dict[ObjectKey, int]:
    place = {label: number for number, label in enumerate(annotations.labels)}

    def order(key: ObjectKey) -> tuple[object, ...]:
        group = key.key if key.key is not None else ""
        return place.get(key.label, len(place)), natural_key(key.label), natural_key(str(group)), key.ordinal

    return {key: number for number, key in enumerate(sorted(keys, key=order), start=1)}


def _name(key: ObjectKey, *, alone: bool) -> str:
    if alone:
        return key.label
    return f"{key.label} {key.key if key.key is not None else key.ordinal + 1}"
