"""Reading annotated images to train on or to draw from: annotation files of any tool, and folders of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.datasets.formats import dataset_name, read_annotations
from vossegcli.io.datasets.mask_pairs import part_of
from vossegcli.io.datasets.shapes import Annotations, Faults, encode, is_empty
from vossegcli.io.datasets.supports import find_supports, read_support
from vossegcli.io.datasets.tools.coco import is_coco, read_categories
from vossegcli.io.media.image_files import ImageFinder
from vossegcli.io.records.json_files import read_json
from vossegcli.types import AnnotatedImage
from vossegcli.wording import counted


@dataclass(frozen=True)
class AnnotatedImages:
    """Annotated images of a file or folder.

    Attributes:
        images: in its order; each with the place where it is, or where it would be looked for first.
        notes: what was left out or interpreted.
    """

    images: tuple[AnnotatedImage, ...]
    notes: tuple[str, ...] = ()


def read_coco_categories(path: Path) -> dict[int, str]:
    """Read the names of the categories by id.

    Raises:
        InputError: not a COCO instances file.
    """
    payload = read_json(path)
    faults = Faults(path)
    if not isinstance(payload, dict):
        raise InputError("is not a JSON object", where=path, fix="give a COCO instances file")
    if not isinstance(payload.get("categories"), list):
        raise InputError("has no list 'categories'", where=path, fix="give a COCO instances file")
    found = read_categories(payload, faults)
    faults.check("give each category id and name")
    return found


def read_coco_instances(path: Path, images: Path | None = None) -> list[AnnotatedImage]:
    """Read images and objects of a COCO instances file, without asking whether the images are there.

    Args:
        path: the file.
        images: a folder that the images lie below; None = the usual places.

    Raises:
        InputError: not a COCO instances file, or one with faults, which are listed.
    """
    payload = read_json(path)
    if not is_coco(payload) or "images" not in payload:
        raise InputError("has no lists 'images' and 'annotations'", where=path, fix="give a COCO instances file")
    return list(read_annotated_images(path, images).images)


def read_annotated_images(path: Path, images: Path | None = None, subset: str | None = None) -> AnnotatedImages:
    """Read the annotations of any tool, with the places of their images.

    Shapes without a pixel are left out.

    Args:
        path: annotation file or folder.
        images: a folder that the images lie below; None = the usual places.
        subset: `train` or `val`: the part to read where a folder has both.

    Raises:
        InputError: it is of no tool that is known, or malformed.
    """
    annotations = read_annotations(path, subset, images)
    return locate_images(annotations, images, dataset_name(path))


def locate_images(annotations: Annotations, images: Path | None, dataset: str) -> AnnotatedImages:
    """Find the images of annotations.

    Args:
        annotations: of any tool.
        images: a folder that the images lie below; None = the usual places.
        dataset: name of the data set, for balanced sampling, where an image has no other.
    """
    numbers = class_numbers(annotations)
    finder_of = _finders(annotations, images)
    found = []
    for image in annotations.images:
        finder = finder_of(image.file)
        place = image.path or finder.find(image.name)
        shapes = [shape for shape in image.shapes if not is_empty(shape.rle)]
        found.append(
            AnnotatedImage(
                path=place or finder.expected(image.name),
                height=image.height,
                width=image.width,
                segmentations=tuple(shape.rle for shape in shapes),
                categories=tuple(numbers[shape.label] for shape in shapes),
                names=tuple(shape.label for shape in shapes),
                source=image.source or image.name,
                dataset=image.dataset or dataset,
            )
        )
    return AnnotatedImages(tuple(found), annotations.notes)


def class_numbers(annotations: Annotations) -> dict[str, int]:
    """The number of each class: the tool's own where it has one, else those that are free, in order."""
    own: Mapping[str, int] = annotations.class_ids
    numbers = {label: own[label] for label in annotations.classes if label in own}
    free = max(numbers.values(), default=0)
    for label in annotations.classes:
        if label not in numbers:
            free += 1
            numbers[label] = free
    return numbers


def read_class_folders(folder: Path, subset: str | None = None) -> AnnotatedImages:
    """Read images and masks of classes, as supports are read; the classes are numbered in their order.

    Every mask is read at once, 100 to 200 a second.

    Args:
        folder: the folder.
        subset: `train` or `val`: the part to read where the folder has both.

    Raises:
        InputError: as `find_supports` and `read_support`.
    """
    found = []
    part = part_of(folder, subset)
    supports = find_supports(part).classes
    for number, (name, shown) in enumerate(supports.items(), start=1):
        for support in shown:
            _, mask = read_support(support)
            height, width = mask.shape
            runs, source = (encode(mask),), f"{name}/{support.image.stem}"
            image = AnnotatedImage(
                support.image, height, width, runs, (number,), (name,), source, folder.resolve().name
            )  # fmt: skip
            found.append(image)
    by_id = any(support.object_id is not None for shown in supports.values() for support in shown)
    kind = "each id of a mask is a class" if by_id else "each folder is a class"
    listed = ", ".join(list(supports)[:8]) + (", ..." if len(supports) > 8 else "")
    return AnnotatedImages(
        tuple(found), (f"{folder.resolve().name}: {counted(len(supports), 'class[|es]')} ({listed}); {kind}",)
    )


def _finders(annotations: Annotations, images: Path | None) -> Callable[[Path | None], ImageFinder]:
    """A finder for each folder that holds files of single images, and one for the whole."""
    known: dict[Path, ImageFinder] = {}

    def finder(file: Path | None) -> ImageFinder:
        place = annotations.path if file is None else file
        key = place if place.is_dir() or file is None else place.parent
        if key not in known:
            known[key] = ImageFinder(place, images)
        return known[key]

    return finder
