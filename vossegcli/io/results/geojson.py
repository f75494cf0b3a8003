"""Instances as GeoJSON, as QuPath and other slide viewers read it: polygons along the edges of pixels.

Shapes: H W pixels; (h,w) the part of the image that holds an object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.results.exports import ExportedShape

SIZE = "image"  # key of the size, which other programs leave unread
Mask = npt.NDArray[np.bool_]
Corner = tuple[int, int]  # x, y; pixel (row, column) has the corners (column, row) to (column + 1, row + 1)
Ring = list[Corner]


def write_geojson(path: Path, shapes: Iterable[ExportedShape], classes: Iterable[str], size: tuple[int, int]) -> Path:
    """Write a feature collection of the objects of one image, in pixels of the image, and the size of the image.

    Each feature is a `detection` with its class, `score` and `area` (QuPath's conventions).

    Args:
        path: the file.
        shapes: the objects.
        classes: names of all classes, in the order of their colours.
        size: (H, W) of the image.
    """
    colours = {name: [int(v) for v in PALETTE[k % 254 + 1]] for k, name in enumerate(classes)}
    image = {"height": size[0], "width": size[1]}
    features = [_feature(shape, colours) for shape in shapes if shape.mask.any()]
    write_text_atomic(path, json.dumps({"type": "FeatureCollection", SIZE: image, "features": features}))
    return path


def rings_of(mask: Mask) -> list[Ring]:
    """Follow the edges of a mask (h,w) between pixels.

    Outer rings run clockwise on the screen, those of holes the other way; pixels that touch at a corner are apart.
    No ring passes a corner twice, as valid polygons ask for. Corners on straight stretches are left out; rings are not
    closed.
    """
    padded = np.pad(mask, 1)
    following: dict[Corner, list[Corner]] = {}
    for (dy, dx), begin, end in (
        ((-1, 0), (0, 0), (1, 0)),  # nothing above: the upper edge, to the right
        ((0, 1), (1, 0), (1, 1)),  # nothing to the right: the right edge, down
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    ):
        open_edges = mask & ~padded[1 + dy : 1 + dy + mask.shape[0], 1 + dx : 1 + dx + mask.shape[1]]
        for row, column in np.argwhere(open_edges).tolist():
            start = (column + begin[0], row + begin[1])
            following.setdefault(start, []).append((column + end[0], row + end[1]))
    rings: list[Ring] = []
    while following:
        first = next(iter(following))
        ring, here, before = [first], _take(following, first, None), first
        while here != first:
            ring.append(here)
            here, before = _take(following, here, before), here
        rings += map(_corners, _simple_rings(ring))
    return rings


def _simple_rings(ring: Ring) -> Iterator[Ring]:
    """Cut a ring in two wherever it comes to a corner again: there, a hole touches the outer ring or another hole."""
    path: Ring = []
    places: dict[Corner, int] = {}
    for corner in ring:
        if corner in places:
            begin = places[corner]
            loop, path = path[begin:], path[:begin]
            for passed in loop:
                del places[passed]
            yield loop
        places[corner] = len(path)
        path.append(corner)
    yield path


def _take(following: dict[Corner, list[Corner]], here: Corner, before: Corner | None) -> Corner:
    """Take the next corner; where two edges leave, turn right, so that pixels that touch at a corner stay apart."""
    choices = following[here]
    if len(choices) > 1 and before is not None:
        step = (here[0] - before[0], here[1] - before[1])
        right = (here[0] - step[1], here[1] + step[0])
        chosen = choices.pop(choices.index(right))
    else:
        chosen = choices.pop()
    if not choices:
        del following[here]
    return chosen


def _corners(ring: Ring) -> Ring:
    points = np.array(ring)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return [(int(x), int(y)) for x, y in points[(before != after).any(axis=1)]]


def signed_area(ring: Ring) -> float:
    """Area of a ring: above 0 for one that runs clockwise on the screen, where y points down."""
    x, y = np.array(ring, np.float64).T
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _feature(shape: ExportedShape, colours: dict[str, list[int]]) -> dict[str, Any]:
    rings = [[(x + shape.left, y + shape.top) for x, y in ring] for ring in rings_of(shape.mask)]
    outer = [[ring] for ring in sorted(rings, key=signed_area) if signed_area(ring) > 0]
    for hole in (ring for ring in rings if signed_area(ring) < 0):  # it lies in the smallest ring around it
        owner = next((polygon for polygon in outer if _holds(polygon[0], hole)), outer[0])
        owner.append(hole)
    closed = [[[list(corner) for corner in (*ring, ring[0])] for ring in polygon] for polygon in outer]
    polygon = {"type": "Polygon", "coordinates": closed[0]}
    measurements = {"area": int(shape.mask.sum())} | ({} if shape.score is None else {"score": round(shape.score, 4)})
    return {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": closed} if len(closed) > 1 else polygon,
        "properties": {
            "objectType": "detection", "name": str(shape.number), "measurements": measurements,
            "classification": {"name": shape.label, "color": colours.get(shape.label, [255, 0, 0])},
        },
    }  # fmt: skip


def _holds(ring: Ring, hole: Ring) -> bool:
    """Say whether a point just inside a hole's ring lies in an outer ring (ray to the left)."""
    x, y = min(hole)[0] + 0.5, min(hole)[1] + 0.5
    crossings = 0
    for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if x1 == x2 and min(y1, y2) < y < max(y1, y2) and x1 < x:
            crossings += 1
    return crossings % 2 == 1
