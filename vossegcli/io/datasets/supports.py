"""Finding the supports of few-shot segmentation: images with masks, by class."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.datasets.archives import opened_archive
from vossegcli.io.datasets.formats import is_annotation, read_annotations
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.datasets.mask_pairs import LAYOUTS, Pair, find_pairs, read_covered, read_mask_of_pair
from vossegcli.io.masks.shared_ids import SharedIds, shared_ids
from vossegcli.io.media.image_files import ImageFinder
from vossegcli.io.media.images import read_image, size_text
from vossegcli.io.records.file_names import natural_key


@dataclass(frozen=True)
class Support:
    """One annotated image of a class.

    Attributes:
        image: file.
        mask: file: a mask, or the annotation file that holds it.
        object_id: the id of the class in the mask; None = every id.
        runs: compressed RLEs whose union is the class, where an annotation file holds it; else empty.
        shared: what the values of all masks mean together, where each id is a class.
    """

    image: Path
    mask: Path
    object_id: int | None
    runs: tuple[dict[str, Any], ...] = ()
    shared: SharedIds = field(default_factory=SharedIds, compare=False)


class FoundSupports(NamedTuple):
    """The supports of each class, both in natural order, and what was left out."""

    classes: dict[str, tuple[Support, ...]]
    notes: tuple[str, ...] = ()


def find_supports(folder: Path, images: Path | None = None) -> FoundSupports:
    """Find the supports of each class.

    * `images/` and `masks/`: files of the same stem belong together; each id of the masks is a class named by it.
    * Pairs side by side, `<n>.jpg` and `<n>.png`, or `<n>.tif` and `<n>_masks.tif`: likewise.
    * One folder a class with such pairs (or with `images/` and `masks/`): the folder's name is the class, and every
      id of its masks.
    * An annotation file of another tool, or a folder of such files: its classes.
    * A zip archive of any of these.

    Args:
        folder: of images and masks, or an annotation file, or an archive.
        images: a folder that the images of an annotation file lie below; None = the usual places.

    Raises:
        InputError: no such folder, no pair in it, an image or a mask that stands alone, or a mask without object.
    """
    folder = opened_archive(folder)
    if is_annotation(folder):
        return _annotated(folder, images)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(what, where=folder, fix="give a folder of annotated images, or an annotation file")
    pairs = find_pairs(folder)
    if pairs:
        return _by_id(pairs)
    classes = sorted(
        (f for f in folder.iterdir() if f.is_dir() and not f.name.startswith(".")), key=lambda f: natural_key(f.name)
    )
    found = {f.name: tuple(Support(image, mask, None) for image, mask in find_pairs(f)) for f in classes}
    found = {name: supports for name, supports in found.items() if supports}
    if not found:
        raise InputError("holds no annotated images", where=folder, fix=f"give {LAYOUTS}")
    return FoundSupports(found)


def read_support(support: Support) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Read the image (H,W,3) of a support and the mask (H,W) of its class.

    Raises:
        InputError: a file cannot be read, the mask has another size, or the class is nowhere or everywhere in it.
    """
    image = read_image(support.image)
    mask = _mask_of(support)
    check_same_size(support.mask, mask, image)
    if not mask.any():
        raise InputError("is empty: it shows no pixel of the class", where=support.mask, fix="mark the class")
    if mask.all():
        raise InputError("is full: it has no background", where=support.mask, fix="mark the class, and only the class")
    return image, mask


def _mask_of(support: Support) -> npt.NDArray[np.bool_]:
    """The mask (H,W) of a support's class."""
    mask: npt.NDArray[np.bool_]
    if support.runs:
        mask = coco_mask.decode(coco_mask.merge(list(support.runs))).astype(np.bool_)
        return mask
    if support.object_id is not None:
        mask = support.shared.apply(support.mask, read_mask_of_pair(support.mask)).ids_map == support.object_id
        return mask
    return read_covered(support.mask)


def _annotated(path: Path, images: Path | None) -> FoundSupports:
    """The supports of an annotation file: for each class, the images that show it."""
    annotations = read_annotations(path, images=images)
    found: dict[str, list[Support]] = {label: [] for label in sorted(annotations.classes, key=natural_key)}
    missing = []
    finders: dict[Path, ImageFinder] = {}
    for image in sorted(annotations.images, key=lambda image: natural_key(image.name)):
        file = image.file or annotations.path
        finder = finders.setdefault(file if file.is_dir() else file.parent, ImageFinder(file, images))
        place = image.path or finder.find(image.name)
        if place is None:
            missing.append(image.name)
            continue
        for label in dict.fromkeys(shape.label for shape in image.shapes):
            runs = tuple(shape.rle for shape in image.shapes if shape.label == label)
            found[label].append(Support(place, file, None, runs))
    supports = {label: tuple(listed) for label, listed in found.items() if listed}
    if missing or not supports:
        what = f"annotates images that are missing: {listed_some(missing)}" if missing else "annotates no object"
        fix = "give their folder with --images" if missing else "mark objects"
        raise InputError(what, where=path, fix=fix)
    return FoundSupports(supports, tuple(f"{path.name}: {note}" for note in annotations.notes))


def check_same_size(path: Path, mask: npt.NDArray[np.generic], image: npt.NDArray[np.uint8]) -> None:
    """Refuse a mask (H,W) of another size than its image (H,W,3).

    Raises:
        InputError: it is.
    """
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"is {size_text(mask.shape)}, but its image is {size_text(image.shape)}",
            where=path,
            fix="give a mask of the image's size",
        )


def _by_id(pairs: list[Pair]) -> FoundSupports:
    """The supports of each id in the masks; a colour has one id in all of them."""
    shared = shared_ids(read_mask_of_pair(pair.mask) for pair in pairs)
    found: dict[int, list[Support]] = {}
    for image, mask in pairs:
        for object_id in shared.apply(mask, read_mask_of_pair(mask)).ids:
            found.setdefault(object_id, []).append(Support(image, mask, object_id, shared=shared))
    classes = {str(object_id): tuple(found[object_id]) for object_id in sorted(found)}
    return FoundSupports(classes, () if shared.note is None else (f"masks of the supports: {shared.note}",))
