"""Label maps and instances as files of annotation tools: labelme, COCO, CVAT.

A person corrects them there and gives them back; reading them again gives exactly what was written.

Shapes: H W pixels.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are first used: most runs need none of them
from PIL import Image

from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.results.outlines import Mask, has_holes, outline_of, parts_of
from vossegcli.io.results.rle import cropped_mask, region_rle

KINDS = ("labelme", "coco", "cvat")
_LABELME_VERSION = "5.4.1"
_FEWEST_POINTS = 3


@dataclass(frozen=True)
class ExportedShape:
    """One object of an image.

    Attributes:
        label: name of its class.
        number: what tells it from others of its class, in all frames.
        mask: (h,w), the part of the image that holds it.
        left: column of the image where that part begins.
        top: row of the image where it begins.
        score: how sure it is, in [0, 1], or None.
    """

    label: str
    number: int
    mask: Mask
    left: int
    top: int
    score: float | None = None


@dataclass(frozen=True)
class ExportedImage:
    """An image with its objects.

    Attributes:
        name: path of the image below its data set, POSIX.
        file: the image file, or None for a frame of a video.
        height: H in pixels.
        width: W in pixels.
        shapes: the objects.
    """

    name: str
    file: Path | None
    height: int
    width: int
    shapes: tuple[ExportedShape, ...]


def shapes_of_ids(ids_map: npt.NDArray[np.integer], names: Mapping[int, str]) -> tuple[ExportedShape, ...]:
    """The objects of a label map (H,W); one without a name is called by its id."""
    found = []
    for number, part in enumerate(scipy.ndimage.find_objects(ids_map.astype(np.int32)), start=1):
        if part is not None:
            top, left = part[0].start, part[1].start
            found.append(ExportedShape(names.get(number, str(number)), number, ids_map[part] == number, left, top))
    return tuple(found)


def shape_of_rle(label: str, number: int, rle: Mapping[str, Any], score: float | None = None) -> ExportedShape:
    """An object from its compressed RLE."""
    top, left, mask = cropped_mask(dict(rle))
    return ExportedShape(label, number, mask, left, top, score)


def write_labelme(folder: Path, images: Iterable[ExportedImage]) -> Iterator[Path]:
    """Write `<name of the image>.json` below a folder, an image each; yields the files.

    Parts without holes become polygons, others masks; `group_id` is the object.
    """
    for image in images:
        path = (folder / image.name).with_suffix(".json")
        write_text_atomic(path, json.dumps(_labelme(image, path.parent), indent=1))
        yield path


def write_coco(
    path: Path,
    images: Sequence[ExportedImage],
    categories: Mapping[str, int] | None = None,
    image_ids: Sequence[int | str] | None = None,
) -> Path:
    """Write a COCO instances file with compressed RLE; `track_id` is the object.

    Args:
        path: the file.
        images: in order.
        categories: id of each class; None = 1, 2, ... in the order of their first appearance.
        image_ids: id of each image; None = 1, 2, ...
    """
    labels = dict.fromkeys(shape.label for image in images for shape in image.shapes)
    ids = dict(categories) if categories else {label: number for number, label in enumerate(labels, start=1)}
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in zip(image_ids or range(1, len(images) + 1), images, strict=True):
        listed.append({"id": number, "file_name": image.name, "height": image.height, "width": image.width})
        for shape in image.shapes:
            rle = region_rle(shape.mask, shape.top, shape.left, image.height, image.width)
            score = {} if shape.score is None else {"score": shape.score}
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": ids[shape.label],
                "track_id": shape.number, "segmentation": rle, "area": int(shape.mask.sum()),
                "bbox": [shape.left, shape.top, shape.mask.shape[1], shape.mask.shape[0]], "iscrowd": 0, **score,
            })  # fmt: skip
    named = [{"id": number, "name": label} for label, number in ids.items()]
    write_text_atomic(path, json.dumps({"images": listed, "annotations": annotations, "categories": named}))
    return path


def write_cvat(path: Path, images: Sequence[ExportedImage]) -> Path:
    """Write an XML file of the kind "CVAT for images 1.1" with masks; `group_id` is the object."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    labels = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
    for label in dict.fromkeys(shape.label for image in images for shape in image.shapes):
        ET.SubElement(ET.SubElement(labels, "label"), "name").text = label
    for number, image in enumerate(images):
        sides = {"width": str(image.width), "height": str(image.height)}
        element = ET.SubElement(root, "image", {"id": str(number), "name": image.name, **sides})
        for order, shape in enumerate(image.shapes):
            ET.SubElement(element, "mask", _cvat_mask(shape, order))
    ET.indent(root)
    write_text_atomic(path, '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")
    return path


def _labelme(image: ExportedImage, folder: Path) -> dict[str, Any]:
    name = Path(image.name).name if image.file is None else os.path.relpath(image.file.resolve(), folder.resolve())
    shapes = [part for shape in image.shapes for part in _labelme_shapes(shape)]
    return {
        "version": _LABELME_VERSION, "flags": {}, "shapes": shapes,
        "imagePath": Path(name).as_posix(), "imageData": None, "imageHeight": image.height, "imageWidth": image.width,
    }  # fmt: skip


def _labelme_shapes(shape: ExportedShape) -> Iterator[dict[str, Any]]:
    common = {
        "label": shape.label, "group_id": shape.number, "flags": {},
        "description": "" if shape.score is None else f"score {shape.score:.3f}",
    }  # fmt: skip
    for part, left, top in parts_of(shape.mask):
        left, top = left + shape.left, top + shape.top
        points = [] if has_holes(part) else outline_of(part)
        if len(points) >= _FEWEST_POINTS:
            moved = [[x + left, y + top] for x, y in points]
            yield {**common, "shape_type": "polygon", "points": moved, "mask": None}
        else:
            corners = [[left, top], [left + part.shape[1] - 1, top + part.shape[0] - 1]]
            yield {**common, "shape_type": "mask", "points": corners, "mask": _png_text(part)}


def _png_text(part: Mask) -> str:
    buffer = io.BytesIO()
    Image.fromarray(part).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _cvat_mask(shape: ExportedShape, order: int) -> dict[str, str]:
    flat = shape.mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    counts = [0, *counts] if flat[0] else counts
    return {
        "label": shape.label, "source": "auto", "occluded": "0", "rle": ", ".join(map(str, counts)),
        "left": str(shape.left), "top": str(shape.top), "width": str(shape.mask.shape[1]),
        "height": str(shape.mask.shape[0]), "z_order": str(order), "group_id": str(shape.number),
    }  # fmt: skip
