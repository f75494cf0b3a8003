"""Reading annotated images to train on: COCO instances files, and folders of classes."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.datasets.supports import find_supports, read_support
from vossegcli.io.records.json_files import read_json
from vossegcli.io.results.rle import compressed_rle
from vossegcli.types import AnnotatedImage


def read_coco_categories(path: Path) -> dict[int, str]:
    """Read the names of the categories by id.

    Raises:
        InputError: not a COCO instances file.
    """
    return _names(_payload(path), path)


def read_coco_instances(path: Path, images: Path | None = None) -> list[AnnotatedImage]:
    """Read images and objects of a COCO instances file.

    Polygons and uncompressed RLE become compressed RLE; crowds are left out.

    Args:
        path: the file.
        images: the folder that image paths are relative to; None = the file's.

    Raises:
        InputError: not a COCO instances file, an image without a size, or an object of an unknown image.
    """
    payload = _payload(path)
    folder = path.parent if images is None else images
    objects = defaultdict(list)
    try:
        listed = {image["id"]: image for image in _field(payload, "images", path)}
    except (KeyError, TypeError) as error:
        raise InputError("an image has no id", where=path, fix="give each image an id, a number") from error
    for annotation in _field(payload, "annotations", path):
        if not isinstance(annotation, dict) or not isinstance(annotation.get("image_id"), int | str):
            raise InputError(
                f"annotation {str(annotation)[:60]} is malformed", where=path, fix="give each the id of its image"
            )
        if annotation["image_id"] not in listed:
            raise InputError(
                f"annotation {annotation.get('id')} names image {annotation.get('image_id')}, which is not listed",
                where=path,
                fix="remove the annotation or list the image",
            )
        if not annotation.get("iscrowd"):
            objects[annotation["image_id"]].append(annotation)
    names = _names(payload, path) if "categories" in payload else {}
    return [_annotated_image(image, objects[image_id], names, path, folder) for image_id, image in listed.items()]


def read_class_folders(folder: Path) -> list[AnnotatedImage]:
    """Read images and masks of `<class>/<n>.jpg` beside `<class>/<n>.png`; the classes are numbered in their order.

    Every mask is read at once, 100 to 200 a second.

    Raises:
        InputError: as `find_supports` and `read_support`.
    """
    found = []
    for number, (name, supports) in enumerate(find_supports(folder).items(), start=1):
        for support in supports:
            _, mask = read_support(support)
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            height, width = mask.shape
            segmentation = {"size": [height, width], "counts": rle["counts"].decode()}
            source = f"{name}/{support.image.stem}"
            found.append(
                AnnotatedImage(
                    support.image, height, width, (segmentation,), (number,), (name,), source, folder.resolve().name
                )  # fmt: skip
            )
    return found


def _annotated_image(
    image: dict[str, Any], objects: list[dict[str, Any]], names: dict[int, str], path: Path, folder: Path
) -> AnnotatedImage:
    try:
        height, width = int(image["height"]), int(image["width"])
        segmentations = tuple(compressed_rle(o["segmentation"], height, width) for o in objects)
        return AnnotatedImage(
            path=folder / image["file_name"],
            height=height,
            width=width,
            segmentations=segmentations,
            categories=tuple(int(o["category_id"]) for o in objects),
            names=tuple(names.get(int(o["category_id"]), str(o["category_id"])) for o in objects),
            source=str(image.get("source", image.get("source_group", image["file_name"]))),
            dataset=path.parent.name if path.stem in {"train", "val"} else path.stem,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"image {image.get('id')} or one of its objects is malformed ({error!r})",
            where=path,
            fix="give each image file_name, height and width and each object segmentation and category_id",
        ) from error


def _names(payload: dict[str, Any], path: Path) -> dict[int, str]:
    try:
        return {int(category["id"]): str(category["name"]) for category in _field(payload, "categories", path)}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError("a category is malformed", where=path, fix="give each category id and name") from error


def _payload(path: Path) -> dict[str, Any]:
    payload = read_json(path)
    if not isinstance(payload, dict):
        raise InputError("is not a JSON object", where=path, fix="give a COCO instances file")
    return payload


def _field(payload: dict[str, Any], name: str, path: Path) -> list[dict[str, Any]]:
    value = payload.get(name)
    if not isinstance(value, list):
        raise InputError(f"has no list '{name}'", where=path, fix="give a COCO instances file")
    return value
