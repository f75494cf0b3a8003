"""Supervisely and Datumaro: JSON files with bitmaps, polygons with holes, or runs."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.io.datasets.ids import read_id
from vossegcli.io.datasets.shapes import (
    Annotations,
    Faults,
    Mask,
    Point,
    Rle,
    Shape,
    ShapedImage,
    check_size,
    drawn_rle,
    encode,
    is_empty,
    placed_rle,
    polygon_rle,
)
from vossegcli.io.media.image_files import as_posix
from vossegcli.io.results.rle import compressed_rle

_MOST_BYTES = 1 << 28
_FIX = "correct the shapes in the tool"

Json = dict[str, Any]


def is_supervisely(payload: object) -> bool:
    """Return True if a JSON file annotates an image in Supervisely's way."""
    return isinstance(payload, dict) and isinstance(payload.get("objects"), list) and "size" in payload


def is_datumaro(payload: object) -> bool:
    """Return True if a JSON file is from Datumaro."""
    return isinstance(payload, dict) and isinstance(payload.get("items"), list) and "categories" in payload


def read_supervisely(path: Path, payloads: Sequence[tuple[Path, Json]]) -> Annotations:
    """Read the annotations of images, `<image>.json` each, with bitmaps, polygons and rectangles.

    Raises:
        InputError: a shape is malformed; all of them are listed.
    """
    faults = Faults(path)
    images = []
    for file, payload in payloads:
        below = file.parent.relative_to(path) if path.is_dir() else Path()
        if below.name == "ann":
            below = below.parent
        name = file.stem if Path(file.stem).suffix else f"{file.stem}.jpg"
        try:
            size = payload["size"]
            height, width = check_size(size["height"], size["width"])
        except (ValueError, KeyError, TypeError) as error:
            faults.add(file.name, error)
            continue
        shapes = []
        for number, entry in enumerate(payload["objects"], start=1):
            try:
                rle = _object(entry, height, width)
                if rle is None or is_empty(rle):
                    faults.drop("shape[|s] of Supervisely without area")
                    continue
                shapes.append(Shape(str(entry.get("classTitle", "object")), rle, read_id(entry.get("instance"))))
            except (ValueError, TypeError, KeyError, OSError) as error:
                faults.add(f"{file.name}, object {number}", error)
        images.append(ShapedImage((below / name).as_posix(), height, width, tuple(shapes), file))
    faults.check(_FIX)
    return Annotations("Supervisely", path, tuple(images), notes=faults.notes)


def read_datumaro(path: Path, payload: Json) -> Annotations:
    """Read a JSON file of Datumaro: items with polygons, masks, boxes and ellipses.

    Raises:
        InputError: an item or a shape is malformed; all of them are listed.
    """
    faults = Faults(path)
    labels = tuple(str(label.get("name")) for label in payload["categories"].get("label", {}).get("labels", []))
    images = []
    for item in payload["items"]:
        where = f"item {item.get('id') if isinstance(item, dict) else item!r:.40}"
        try:
            image = item["image"]
            height, width = check_size(*image["size"])
            shapes = _datumaro_shapes(item, where, labels, (height, width), faults)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            faults.add(where, error)
            continue
        name = as_posix(str(image.get("path") or item["id"]))
        name = name if PurePosixPath(name).suffix else f"{name}.jpg"
        images.append(ShapedImage(name, height, width, shapes))
    faults.check(_FIX)
    return Annotations("Datumaro", path, tuple(images), labels, faults.notes)


def _datumaro_shapes(
    item: Json, where: str, labels: Sequence[str], size: tuple[int, int], faults: Faults
) -> tuple[Shape, ...]:
    found = []
    for entry in sorted(item.get("annotations", []), key=lambda entry: entry.get("z_order") or 0):
        kind = entry.get("type")
        if kind in {"label", "caption", "points", "polyline"}:
            continue
        number = entry.get("label_id")
        label = labels[number] if isinstance(number, int) and 0 <= number < len(labels) else "object"
        key = read_id((entry.get("attributes") or {}).get("track_id")) or entry.get("group") or None
        try:
            rle = _datumaro_rle(kind, entry, size)
        except (ValueError, TypeError, KeyError) as error:
            faults.add(f"{where}, annotation {entry.get('id')}", error)
            continue
        if rle is None or is_empty(rle):
            faults.drop("shape[|s] of Datumaro without area")
        else:
            found.append(Shape(label, rle, key))
    return tuple(found)


def _datumaro_rle(kind: object, entry: Json, size: tuple[int, int]) -> Rle | None:
    if kind == "mask":
        return compressed_rle(entry["rle"], *size)
    if kind == "bbox":
        x, y, width, height = (float(v) for v in entry["bbox"])
        return polygon_rle([[(x, y), (x + width, y), (x + width, y + height), (x, y + height)]], *size)
    if kind == "polygon":
        flat = [float(v) for v in entry["points"]]
        return polygon_rle([list(zip(flat[::2], flat[1::2], strict=True))], *size)
    raise ValueError(f"shapes of the kind {kind!r:.20} are not known")


def _object(entry: Json, height: int, width: int) -> Rle | None:
    kind = entry.get("geometryType")
    if kind == "bitmap":
        left, top = (int(v) for v in entry["bitmap"]["origin"])
        return placed_rle(_bitmap(entry["bitmap"]["data"]), left, top, height, width)
    if kind not in {"polygon", "rectangle"}:
        return None
    outer = _ring(entry["points"]["exterior"])
    rle = drawn_rle(kind, outer, height, width)
    if rle is None or kind == "rectangle":
        return rle
    whole = Shape("", rle).mask()
    for ring in entry["points"].get("interior", []):
        hole = drawn_rle("polygon", _ring(ring), height, width)
        if hole is not None:
            whole &= ~Shape("", hole).mask()
    return encode(whole)


def _ring(points: Sequence[Sequence[float]]) -> list[Point]:
    return [(float(x), float(y)) for x, y in points]


def _bitmap(text: str) -> npt.NDArray[np.bool_]:
    """Decode a picture in base64 and zlib; its alpha channel, or what is not black, is the mask (h,w)."""
    try:
        raw = base64.b64decode(text)
        inflater = zlib.decompressobj()
        data = inflater.decompress(raw, _MOST_BYTES) if not raw.startswith(b"\x89PNG") else raw
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"its bitmap cannot be read ({error})") from error
    with Image.open(io.BytesIO(data)) as image:
        picture = np.array(image.convert("RGBA")) if image.has_transparency_data else np.array(image)
    channels = picture.reshape(*picture.shape[:2], -1)
    mask: Mask = np.asarray((channels[..., 3:] if channels.shape[2] == 4 else channels).any(axis=2))
    return mask
