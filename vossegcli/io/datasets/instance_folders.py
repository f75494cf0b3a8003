"""Folders of images with masks whose ids are instances: the class is the folder, each id of a mask one object.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import AnnotatedImages
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.datasets.mask_pairs import (
    IMAGES,
    LAYOUTS,
    MASKS,
    Pair,
    find_pairs,
    has_two_folders,
    part_of,
    read_ids,
)
from vossegcli.io.media.images import size_text
from vossegcli.io.media.sequences import list_images
from vossegcli.io.records.file_names import natural_key, subfolder
from vossegcli.io.results.exports import shapes_of_ids
from vossegcli.io.results.rle import region_rle
from vossegcli.types import AnnotatedImage
from vossegcli.wording import counted

_LISTED = 10
_PARTS = frozenset({"train", "val", "valid", "test", "images", "data"})

Ids = npt.NDArray[np.integer]


def read_instance_folders(folder: Path, subset: str | None = None, layouts: str = LAYOUTS) -> AnnotatedImages:
    """Read images and label maps of instances.

    * Pairs in the folder itself (`images/` and `masks/`, `<n>.tif` beside `<n>_masks.tif`, `<n>.jpg` beside
      `<n>.png`), or in its `train/`: one class, called like the folder.
    * Pairs in subfolders: a class a folder.
    * `<image>/images/<image>.png` and `<image>/masks/` with a mask an object, as of the Data Science Bowl 2018.

    Masks without objects are images without objects.

    Args:
        folder: the folder.
        subset: `train` or `val`: the part to read where the folder has both.
        layouts: that are named where there are no pairs.

    Raises:
        InputError: there are no pairs, or a mask cannot be read.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(what, where=folder, fix="give a folder of annotated images, or an annotation file")
    part = part_of(folder, subset)
    dataset = folder.resolve().name
    bowl = _one_mask_an_object(part)
    groups = {_class_name(part): bowl} if bowl else _pairs_by_class(part)
    if not groups:
        raise InputError("holds no annotated images", where=folder, fix=f"give {layouts}")
    images, faults, parted = [], [], 0
    listed = [(number, name, *pair) for number, (name, pairs) in enumerate(groups.items(), start=1) for pair in pairs]
    for number, name, image, masks in listed:
        try:
            ids = _ids_of(masks)
        except InputError as error:
            faults.append(str(error))
            continue
        parted += len(masks) == 1 and _is_one_of_parts(ids)
        images.append(_annotated(image, ids, number, name, dataset))
    if faults:
        what = f"{counted(len(faults), 'mask[|s]')} cannot be used: {listed_some(faults, _LISTED)}"
        raise InputError(what, where=folder, fix="correct or remove them")
    return AnnotatedImages(tuple(images), tuple(_notes(dataset, images, parted)))


def _pairs_by_class(folder: Path) -> dict[str, list[tuple[Path, tuple[Path, ...]]]]:
    own = find_pairs(folder)
    if own:
        return {_class_name(folder): _with_tuples(own)}
    found = {below.name: _with_tuples(find_pairs(below)) for below in _subfolders(folder)}
    return {name: pairs for name, pairs in found.items() if pairs}


def _one_mask_an_object(folder: Path) -> list[tuple[Path, tuple[Path, ...]]]:
    """Images of subfolders `<image>/images/` and `<image>/masks/` with masks of other names; else none."""
    found = []
    for below in _subfolders(folder):
        if not has_two_folders(below):
            return []
        images, masks = list_images(subfolder(below, IMAGES)), list_images(subfolder(below, MASKS))
        if len(images) != 1 or not masks or images[0].stem in {mask.stem for mask in masks}:
            return []
        found.append((images[0], masks))
    return found


def _subfolders(folder: Path) -> list[Path]:
    folders = (below for below in folder.iterdir() if below.is_dir() and not below.name.startswith("."))
    return sorted(folders, key=lambda below: natural_key(below.name))


def _with_tuples(pairs: list[Pair]) -> list[tuple[Path, tuple[Path, ...]]]:
    return [(pair.image, (pair.mask,)) for pair in pairs]


def _class_name(folder: Path) -> str:
    """The name of a folder, or of the one above it where it is called like a part of a data set."""
    path = folder.resolve()
    return path.parent.name if path.name.lower() in _PARTS and path.parent.name else path.name


def _ids_of(masks: tuple[Path, ...]) -> Ids:
    """The ids (H,W) of an image: those of its mask, or 1, 2, ... for masks of one object each."""
    read = [read_ids(path, allow_empty=True) for path in masks]
    if len(read) == 1:
        return read[0]
    joined = np.zeros(read[0].shape if read else (0, 0), np.uint16)
    for number, (path, mask) in enumerate(zip(masks, read, strict=True), start=1):
        if mask.shape != joined.shape:
            what = f"is {size_text(mask.shape)}, but others of its image are {size_text(joined.shape)}"
            raise InputError(what, where=path, fix="give masks of the image's size")
        joined[mask > 0] = number
    return joined


def _is_one_of_parts(ids: Ids) -> bool:
    """Say whether a mask has one id and several parts: perhaps objects that nobody told apart."""
    objects = np.unique(ids[ids > 0])
    return objects.size == 1 and int(ndimage.label(ids)[1]) > 1


def _annotated(image: Path, ids: Ids, number: int, name: str, dataset: str) -> AnnotatedImage:
    height, width = ids.shape
    shapes = shapes_of_ids(ids, {})
    runs = tuple(region_rle(shape.mask, shape.top, shape.left, height, width) for shape in shapes)
    count = len(runs)
    source = f"{name}/{image.stem}"
    return AnnotatedImage(image, height, width, runs, (number,) * count, (name,) * count, source, dataset)


def _notes(dataset: str, images: list[AnnotatedImage], parted: int) -> Iterator[str]:
    objects = sum(len(image.segmentations) for image in images)
    names = list(dict.fromkeys(name for image in images for name in image.names))
    classes = f"of class {names[0]}" if len(names) == 1 else f"of {len(names)} classes"
    where = counted(len(images), "image[|s]")
    yield f"{dataset}: {counted(objects, 'object[|s]')} {classes} in {where}; each id of a mask is one object"
    if parted:
        what = counted(parted, "mask[|s] [has|have] one id in several parts, read as one object")
        yield f"{dataset}: {what}: give each object an id"
