"""VIA (VGG Image Annotator): one JSON file with the regions of all images, which does not say their sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vossegcli.errors import InputError
from vossegcli.io.datasets.shapes import (
    Annotations,
    Faults,
    Point,
    Rle,
    Shape,
    ShapedImage,
    drawn_rle,
    is_empty,
    polygon_rle,
)
from vossegcli.io.media.image_files import ImageFinder, as_posix
from vossegcli.io.media.images import read_image_size

TOOL = "VIA"
_PROJECT = "_via_img_metadata"
_LABELS = ("class", "label", "name", "category", "type", "object")  # attributes that are likely to hold the class
_WITHOUT_AREA = frozenset({"point", "polyline"})

Json = dict[str, Any]


def is_via(payload: object) -> bool:
    """Return True for the annotations or the project of VIA, version 1 or 2."""
    if not isinstance(payload, dict):
        return False
    entries = payload.get(_PROJECT, payload)
    if not isinstance(entries, dict) or not entries:
        return False
    return all(isinstance(one, dict) and {"filename", "regions"} <= one.keys() for one in entries.values())


def read_via(path: Path, payloads: Sequence[tuple[Path, Json]], images: Path | None = None) -> Annotations:
    """Read the polygons, rectangles, circles and ellipses of VIA.

    The class of a region is its attribute called `class`, `label`, `name`, `category`, `type` or `object`, else its
    only one, else `object`. Points and lines are left out.

    Args:
        path: the file or folder, for messages.
        payloads: each file and what it holds.
        images: a folder that the images lie below; None = the usual places.

    Raises:
        InputError: an image is missing, or a region is malformed; all of them are listed.
    """
    faults = Faults(path)
    found = [image for file, payload in payloads for image in _images(file, payload, images, faults)]
    faults.check("correct the regions in VIA, or give the folder of the images with --images")
    return Annotations(TOOL, path, tuple(found), notes=faults.notes)


def _images(file: Path, payload: Json, folder: Path | None, faults: Faults) -> Iterator[ShapedImage]:
    finder = ImageFinder(file, folder)
    for entry in payload.get(_PROJECT, payload).values():
        name = as_posix(str(entry["filename"]))
        place = finder.find(name)
        if place is None:
            faults.add(name, "is not found: VIA does not say the sizes of images, so that they are needed")
            continue
        try:
            height, width = read_image_size(place)
        except InputError as error:
            faults.add(name, error.what)
            continue
        yield ShapedImage(name, height, width, tuple(_shapes(entry, name, height, width, faults)), path=place)


def _shapes(entry: Json, name: str, height: int, width: int, faults: Faults) -> Iterator[Shape]:
    regions = entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"]
    for number, region in enumerate(regions, start=1):
        try:
            shape = region["shape_attributes"]
            if shape["name"] in _WITHOUT_AREA:
                faults.drop(f"region[|s] of the kind '{shape['name']}'")
                continue
            rle = _rle(shape, height, width)
        except (KeyError, TypeError, ValueError) as error:
            faults.add(f"{name}, region {number}", f"is malformed ({error})")
            continue
        if rle is None or is_empty(rle):
            faults.drop("region[|s] of VIA without area")
        else:
            yield Shape(_label(region.get("region_attributes") or {}), rle)


def _rle(shape: Mapping[str, Any], height: int, width: int) -> Rle | None:
    kind = shape["name"]
    if kind == "polygon":
        xs, ys = shape["all_points_x"], shape["all_points_y"]
        ring: list[Point] = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        return polygon_rle([ring], height, width)
    if kind == "rect":
        x, y, w, h = (float(shape[key]) for key in ("x", "y", "width", "height"))
        return polygon_rle([[(x, y), (x + w, y), (x + w, y + h), (x, y + h)]], height, width)
    if kind in {"circle", "ellipse"}:
        x, y = float(shape["cx"]), float(shape["cy"])
        rx, ry = (float(shape.get(key, shape.get("r", 0))) for key in ("rx", "ry"))
        return drawn_rle("ellipse", [(x - rx, y - ry), (x + rx, y + ry)], height, width)
    raise ValueError(f"the kind {kind!r:.20} is not known")


def _label(attributes: object) -> str:
    if not isinstance(attributes, dict):
        return "object"
    named = {str(key).lower(): value for key, value in attributes.items()}
    value = next((named[key] for key in _LABELS if key in named), next(iter(named.values()), ""))
    if isinstance(value, dict):  # check boxes: the first that is set
        value = next((key for key, chosen in value.items() if chosen), "")
    return str(value).strip() or "object"
