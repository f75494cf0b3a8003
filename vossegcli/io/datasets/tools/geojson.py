"""GeoJSON of QuPath and of `--save geojson`: a file an image, polygons along the edges of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.datasets.shapes import (
    Annotations,
    Faults,
    Mask,
    Rle,
    Shape,
    ShapedImage,
    check_size,
    encode,
    is_empty,
    polygon_rle,
)
from vossegcli.io.media.image_files import ImageFinder
from vossegcli.io.media.images import read_image_size
from vossegcli.io.results.geojson import SIZE

TOOL = "GeoJSON"


def is_geojson(payload: object) -> bool:
    """Return True for a feature collection, a feature, or a list of them, as QuPath exports."""
    if isinstance(payload, dict) and payload.get("type") == "FeatureCollection":
        return isinstance(payload.get("features"), list)
    features = _features(payload)
    return bool(features) and all(isinstance(one, dict) and one.get("type") == "Feature" for one in features)


def read_geojson(path: Path, payloads: Sequence[tuple[Path, Any]], images: Path | None = None) -> Annotations:
    """Read files that are named after their images.

    Polygons become masks; lines and points have no area and are left out. A name that is a number is the object's id.

    Args:
        path: the file or folder, for messages.
        payloads: each file and what it holds.
        images: a folder that the images lie below, for their sizes; None = beside the files.

    Raises:
        InputError: the size of an image is not known, or a feature is malformed; all of them are listed.
    """
    faults = Faults(path)
    finder = ImageFinder(path, images)
    found = []
    for file, payload in payloads:
        below = file.parent.relative_to(path) if path.is_dir() else Path()
        name = (below / f"{file.stem}.png").as_posix()
        image = finder.find(name)
        try:
            height, width = _size(payload, image)
        except ValueError as error:
            faults.add(file.name, error)
            continue
        shapes = _shapes(file, _features(payload), height, width, faults)
        found.append(ShapedImage(name, height, width, tuple(shapes), file, path=image))
    faults.check("correct it, or give the folder of the images with --images")
    return Annotations(TOOL, path, tuple(found), notes=faults.notes)


def _features(payload: object) -> list[Any]:
    if isinstance(payload, dict) and payload.get("type") == "FeatureCollection":
        listed = payload.get("features")
        return listed if isinstance(listed, list) else []
    if isinstance(payload, dict) and payload.get("type") == "Feature":
        return [payload]
    return payload if isinstance(payload, list) else []


def _size(payload: Any, image: Path | None) -> tuple[int, int]:  # noqa: ANN401 - JSON
    """(H, W) of the image: as the file says, else of the image that is called like it."""
    said = payload.get(SIZE) if isinstance(payload, dict) else None
    if isinstance(said, dict):
        return check_size(said.get("height"), said.get("width"))
    if image is None:
        raise ValueError("does not say the size of its image, which is not beside it")
    try:
        return read_image_size(image)
    except InputError as error:
        raise ValueError(str(error)) from error


def _shapes(file: Path, features: Sequence[Any], height: int, width: int, faults: Faults) -> list[Shape]:
    shapes = []
    for number, feature in enumerate(features, start=1):
        try:
            rle = _rle(feature.get("geometry"), height, width)
            properties = feature.get("properties") or {}
            label = (properties.get("classification") or {}).get("name") or "object"
            name = str(properties.get("name") or "")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            faults.add(f"{file.name}, feature {number}", error)
            continue
        if rle is None or is_empty(rle):
            faults.drop("feature[|s] of GeoJSON without area")
            continue
        shapes.append(Shape(str(label), rle, int(name) if name.isdecimal() and int(name) > 0 else None))
    return shapes


def _rle(geometry: Any, height: int, width: int) -> Rle | None:  # noqa: ANN401 - JSON
    """Draw the polygons of a geometry, without their holes; None where it has none."""
    kind, parts = geometry["type"], geometry.get("coordinates", [])
    if kind == "GeometryCollection":
        drawn = [_rle(one, height, width) for one in geometry["geometries"]]
        masks = [_decoded(rle) for rle in drawn if rle is not None]
        return encode(np.logical_or.reduce(masks)) if masks else None
    if kind not in {"Polygon", "MultiPolygon"}:
        return None
    polygons = [
        [[(x, y) for x, y, *_ in ring] for ring in rings] for rings in ([parts] if kind == "Polygon" else parts)
    ]
    if not any(holes for _, *holes in polygons):
        return polygon_rle([outer for outer, *_ in polygons], height, width)
    mask = np.zeros((height, width), np.bool_)
    for outer, *holes in polygons:
        filled, cut = polygon_rle([outer], height, width), polygon_rle(holes, height, width)
        if filled is not None:
            mask |= _decoded(filled) if cut is None else _decoded(filled) & ~_decoded(cut)
    return encode(mask)


def _decoded(rle: Rle) -> Mask:
    return Shape("", rle).mask()
