"""labelme: a JSON file an image. Shapes are drawn as labelme draws them, with Pillow."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from vossegcli.errors import InputError
from vossegcli.io.datasets.ids import read_id
from vossegcli.io.datasets.shapes import (
    Annotations,
    Faults,
    Point,
    Rle,
    Shape,
    ShapedImage,
    check_size,
    drawn_rle,
    is_empty,
    placed_rle,
)
from vossegcli.io.media.image_files import as_posix, find_beside
from vossegcli.io.media.images import read_image_size

TOOL = "labelme"
_WITHOUT_AREA = frozenset({"line", "linestrip", "point", "points"})
_DRAWN = {"polygon": "polygon", "rectangle": "rectangle", "circle": "circle", "rotation": "polygon"}


def is_labelme(payload: object) -> bool:
    """Return True if a JSON file is from labelme."""
    if not isinstance(payload, dict) or not isinstance(payload.get("shapes"), list):
        return False
    return bool({"imagePath", "imageHeight", "imageData"} & payload.keys())


def read_labelme(path: Path, payloads: Sequence[tuple[Path, dict[str, Any]]]) -> Annotations:
    """Read the files of labelme.

    Polygons, rectangles, circles, rotated boxes and masks become masks; lines and points have no area and are left
    out. Shapes of one `group_id` and label are one object.

    Args:
        path: the file or folder, for messages.
        payloads: each file and what it holds.

    Raises:
        InputError: the size of an image is not known, or a shape is malformed; all of them are listed.
    """
    faults = Faults(path)
    images = []
    for file, payload in payloads:
        try:
            images.append(_image(path, file, payload, faults))
        except ValueError as error:
            faults.add(file.name, error)
    faults.check("correct the shapes in labelme")
    return Annotations(TOOL, path, tuple(images), notes=faults.notes)


def _image(path: Path, file: Path, payload: dict[str, Any], faults: Faults) -> ShapedImage:
    given = as_posix(str(payload.get("imagePath") or ""))
    image = PurePosixPath(given).name or f"{file.stem}.jpg"
    place = file.parent / given
    below = file.parent.relative_to(path) if path.is_dir() else Path()
    height, width = _size(file, payload)
    shapes = []
    for number, shape in enumerate(payload["shapes"], start=1):
        where = f"{file.name}, shape {number}"
        try:
            rle = _rle(shape, height, width, faults)
        except (ValueError, TypeError, KeyError) as error:
            faults.add(where, error)
            continue
        if rle is None or is_empty(rle):
            faults.drop("shape[|s] of labelme without area")
            continue
        shapes.append(Shape(str(shape.get("label", "")) or "object", rle, read_id(shape.get("group_id"))))
    found = place.resolve() if given and place.is_file() else None
    return ShapedImage((below / image).as_posix(), height, width, tuple(shapes), file, path=found)


def _size(file: Path, payload: dict[str, Any]) -> tuple[int, int]:
    """(H, W) of the image: as the file says, else of the picture in it, else of the picture beside it."""
    height, width = payload.get("imageHeight"), payload.get("imageWidth")
    if height is not None and width is not None:
        return check_size(height, width)
    if payload.get("imageData"):
        return check_size(*_picture(payload["imageData"]).shape[:2])
    beside = find_beside(file, str(payload.get("imagePath") or ""))
    if beside is None:
        raise ValueError("says no imageHeight and imageWidth, and its image is not beside it")
    try:
        return read_image_size(beside)
    except InputError as error:
        raise ValueError(str(error)) from error


def _rle(shape: Any, height: int, width: int, faults: Faults) -> Rle | None:  # noqa: ANN401 - an entry of a JSON file
    if not isinstance(shape, dict):
        raise ValueError("is no object")
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.get("points", []))
    if kind in _WITHOUT_AREA:
        return None
    if kind == "mask" or (shape.get("mask") and kind not in _DRAWN):
        picture = _picture(shape["mask"])
        left, top = (round(v) for v in points[0])
        return placed_rle(picture if picture.ndim == 2 else picture[..., 0], left, top, height, width)
    if kind not in _DRAWN:
        faults.drop(f"shape[|s] of the kind '{kind}', which is not known")
        return None
    return drawn_rle(_DRAWN[kind], points, height, width)


def _points(points: Any) -> list[Point]:  # noqa: ANN401 - an entry of a JSON file
    if not isinstance(points, list):
        raise ValueError("has no list of points")
    pairs = [tuple(float(v) for v in point) for point in points]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a point is no pair x, y")
    return [(pair[0], pair[1]) for pair in pairs]


def _picture(text: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 - an entry of a JSON file
    try:
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            return np.array(image)
    except (binascii.Error, UnidentifiedImageError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"its picture cannot be read ({error})") from error
