"""CVAT: an XML file of images (1.1) or of a video, with polygons, boxes, ellipses and masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.datasets.shapes import (
    MOST_PIXELS,
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
    polygon_rle,
)
from vossegcli.io.media.image_files import as_posix

TOOL = "CVAT"
_WITHOUT_AREA = frozenset({"points", "polyline", "skeleton", "cuboid", "tag"})
_KNOWN = frozenset({"polygon", "box", "ellipse", "mask"})


def read_cvat(path: Path) -> Annotations:
    """Read an XML file of CVAT, "for images 1.1" or "for video 1.1".

    Shapes of one label and group are one object, as are all shapes of a track. Points, lines and cuboids are left out.

    Raises:
        InputError: it is no such file, or a shape is malformed; all of them are listed.
    """
    try:
        root = ET.parse(path).getroot()  # expat refuses entities that multiply
    except (ET.ParseError, OSError, ValueError) as error:
        raise InputError(f"is no XML that can be read ({error})", where=path, fix="export it again") from error
    if root.tag != "annotations" or not (root.find("image") is not None or root.find("track") is not None):
        only = " with boxes alone, without masks" if root.tag == "annotation" else ""
        raise InputError(
            f"is an XML file of the kind <{root.tag}>{only}, not of CVAT",
            where=path,
            fix="give CVAT's export for images 1.1",
        )
    faults = Faults(path)
    labels = tuple(name.text or "" for name in root.iterfind("./meta//labels/label/name"))
    images = [*_images(root, faults), *_frames(root, faults)]
    faults.check("correct the shapes in CVAT")
    return Annotations(TOOL, path, tuple(images), labels, faults.notes)


def _images(root: ET.Element, faults: Faults) -> Iterator[ShapedImage]:
    for image in root.iterfind("image"):
        name = image.get("name") or (image.get("id") or "0").zfill(6)
        try:
            height, width = check_size(image.get("height"), image.get("width"))
        except ValueError as error:
            faults.add(f"image {name}", error)
            continue
        shapes = []
        for number, element in sorted(enumerate(image, start=1), key=lambda part: _whole(part[1], "z_order")):
            rle = _rle(element, f"image {name}, shape {number}", height, width, faults)
            if rle is not None:
                shapes.append(Shape(element.get("label") or "object", rle, _group(element)))
        yield ShapedImage(as_posix(name), height, width, tuple(shapes))


def _frames(root: ET.Element, faults: Faults) -> Iterator[ShapedImage]:
    """The frames of tracks, named by their numbers."""
    tracks = root.findall("track")
    if not tracks:
        return
    sides = [root.findtext(f"./meta//original_size/{side}") for side in ("height", "width")]
    try:
        height, width = check_size(*sides)
    except ValueError as error:
        faults.add("original_size", error)
        return
    frames: dict[int, list[tuple[int, Shape]]] = {}
    for place, track in enumerate(tracks):
        for element in track:
            number = _whole(element, "frame", missing=-1)
            if number < 0:
                if element.tag in _KNOWN:
                    faults.add(f"track {track.get('id')}", f"the frame {element.get('frame')!r:.20} is no number")
                continue
            if element.get("outside") == "1":
                frames.setdefault(number, [])
                continue
            rle = _rle(element, f"track {track.get('id')}, frame {number}", height, width, faults)
            if rle is not None:
                shape = Shape(track.get("label") or "object", rle, _whole(track, "id", missing=place) + 1)
                frames.setdefault(number, []).append((_whole(element, "z_order"), shape))
    for number in sorted(frames):
        shapes = sorted(frames[number], key=lambda item: item[0])
        yield ShapedImage(f"frame_{number:06d}", height, width, tuple(shape for _, shape in shapes))


def _whole(element: ET.Element, name: str, missing: int = 0) -> int:
    """A whole number among the attributes; what is none counts as missing."""
    text = element.get(name) or ""
    return int(text) if text.removeprefix("-").isdecimal() else missing


def _group(element: ET.Element) -> int | None:
    text = element.get("group_id") or "0"
    return int(text) if text.isdecimal() and int(text) else None


def _rle(element: ET.Element, where: str, height: int, width: int, faults: Faults) -> Rle | None:
    if element.tag not in _KNOWN:
        if element.tag in _WITHOUT_AREA:
            faults.drop(f"shape[|s] of the kind '{element.tag}'")
        return None
    try:
        rle = _drawn(element, height, width)
    except (ValueError, TypeError, OverflowError) as error:
        faults.add(where, error)
        return None
    if rle is None or is_empty(rle):
        faults.drop("shape[|s] of CVAT without area")
        return None
    return rle


def _drawn(element: ET.Element, height: int, width: int) -> Rle | None:
    if element.tag == "polygon":
        return polygon_rle([_points(element.get("points") or "")], height, width)
    if element.tag == "mask":
        left, top, columns, rows = (int(_number(element, name)) for name in ("left", "top", "width", "height"))
        return placed_rle(_runs(element.get("rle") or "", rows, columns), left, top, height, width)
    if element.tag == "box":
        x1, y1, x2, y2 = (_number(element, name) for name in ("xtl", "ytl", "xbr", "ybr"))
        return polygon_rle([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]], height, width)
    cx, cy, rx, ry = (_number(element, name) for name in ("cx", "cy", "rx", "ry"))
    return drawn_rle("ellipse", [(cx - rx, cy - ry), (cx + rx - 1, cy + ry - 1)], height, width)


def _number(element: ET.Element, name: str) -> float:
    text = element.get(name)
    if text is None:
        raise ValueError(f"has no {name}")
    return float(text)


def _points(text: str) -> list[Point]:
    pairs = [tuple(float(v) for v in pair.split(",")) for pair in text.split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a point is no pair x,y")
    return [(pair[0], pair[1]) for pair in pairs]


def _runs(text: str, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Decode a mask (rows, columns): lengths of runs along the rows, background first."""
    counts = np.array([int(count) for count in text.replace(",", " ").split()], np.int64)
    if not 0 < rows * columns <= MOST_PIXELS or (counts < 0).any() or int(counts.sum()) != rows * columns:
        raise ValueError(f"the runs do not fill its {columns} x {rows} pixels")
    return np.repeat(np.arange(len(counts)) % 2, counts).astype(np.uint8).reshape(rows, columns)
