"""Common form of the annotation files of all tools: named images with labelled shapes.

Shapes: H W pixels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.datasets.ids import listed_some
from vossegcli.io.results.rle import compressed_rle
from vossegcli.wording import counted

Mask = npt.NDArray[np.bool_]
Rle = dict[str, Any]
Point = tuple[float, float]
FEWEST_POINTS = 3
MOST_SIDE = 1 << 16
MOST_PIXELS = 1 << 30
_TOLD_FAULTS = 10


@dataclass(frozen=True)
class Shape:
    """One annotated object, or a part of one.

    Attributes:
        label: name of its class.
        rle: compressed, of the size of its image.
        key: what parts of one object and its appearances in other frames share (a group or track id), or None.
    """

    label: str
    rle: Rle
    key: int | str | None = None

    def mask(self) -> Mask:
        """Decode it to (H,W)."""
        decoded: Mask = coco_mask.decode(self.rle).astype(np.bool_)
        return decoded


@dataclass(frozen=True)
class ShapedImage:
    """One image with its shapes, later ones on top.

    Attributes:
        name: path as the file gives it, with `/` between its parts.
        height: H in pixels.
        width: W in pixels.
        shapes: in the order of the file.
        file: the file that annotates this image alone, beside which it may lie, or None.
        path: the image, where the file says so and it is there; None = to be looked for by its name.
        source: images that share it come from one photo or slide; empty = each from its own.
        dataset: name of the data set, where the path holds several; else empty.
    """

    name: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    file: Path | None = None
    source: str = ""
    path: Path | None = None
    dataset: str = ""


@dataclass(frozen=True)
class Annotations:
    """Content of an annotation file or folder.

    Attributes:
        tool: whose it is, for messages.
        path: the file or folder.
        images: in its order.
        labels: names of the classes in the tool's order, where it has one; others follow as they come.
        notes: what was left out or interpreted.
        class_ids: the tool's own numbers of the classes, where it numbers them.
    """

    tool: str
    path: Path
    images: tuple[ShapedImage, ...]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_ids: Mapping[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes, each once."""
        used = (shape.label for image in self.images for shape in image.shapes)
        return tuple(dict.fromkeys((*self.labels, *used)))


@dataclass
class Faults:
    """Problems of a file, collected so that all are reported; harmless ones are counted and left out.

    Attributes:
        path: the file.
        found: what makes it unusable, each with the place.
        dropped: how often something was left out, by reason.
        doubtful: how often something looks wrong but is used, by what it is.
    """

    path: Path
    found: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    doubtful: Counter[str] = field(default_factory=Counter)

    def drop(self, reason: str) -> None:
        """Count something that is left out."""
        self.dropped[reason] += 1

    def add(self, where: str, what: object) -> None:
        """Note what makes the file unusable."""
        self.found.append(f"{where}: {what}")

    @property
    def notes(self) -> tuple[str, ...]:
        """Tell the user what was left out, and what looks wrong."""
        left_out = [f"left out: {counted(count, reason)}" for reason, count in self.dropped.items()]
        return (*left_out, *(counted(count, what) for what, count in self.doubtful.items()))

    def check(self, fix: str) -> None:
        """Refuse the file if it is unusable.

        Raises:
            InputError: it is; all faults are listed.
        """
        if self.found:
            raise InputError(f"{listed_some(self.found, _TOLD_FAULTS)}", where=self.path, fix=fix)


def check_size(height: object, width: object) -> tuple[int, int]:
    """Read the size (H, W) of an image.

    Raises:
        ValueError: it is none.
    """
    values = []
    for value in (height, width):
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        if not number.is_integer() or not 0 < number <= MOST_SIDE:
            raise ValueError(f"the size {width!r:.20} x {height!r:.20} is none")
        values.append(int(number))
    if values[0] * values[1] > MOST_PIXELS:
        raise ValueError(f"the size {width} x {height} is too large")
    return values[0], values[1]


def encode(mask: npt.NDArray[np.generic]) -> Rle:
    """Encode a mask (H,W) as compressed RLE."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def is_empty(rle: Rle) -> bool:
    """True if it has no pixel."""
    return int(coco_mask.area(rle)) == 0


def polygon_rle(rings: Iterable[Sequence[Point]], height: int, width: int) -> Rle | None:
    """Encode polygons as COCO draws them; those of fewer than three points are left out.

    Returns:
        None if nothing is left.

    Raises:
        ValueError: a point is no pair of finite numbers near the image.
    """
    flat = [[float(v) for point in ring for v in point] for ring in rings if len(ring) >= FEWEST_POINTS]
    return compressed_rle(flat, height, width) if flat else None


def drawn_rle(kind: str, points: Sequence[Point], height: int, width: int) -> Rle | None:
    """Encode a shape with its outline filled, as Pillow, and with it labelme, draws it.

    Args:
        kind: `polygon`, `rectangle` (two corners), `circle` (centre, a point of the rim) or `ellipse` (two corners).
        points: (x, y) in pixels.
        height: of the image.
        width: of the image.

    Returns:
        None if it has too few points.

    Raises:
        ValueError: a point is not finite, or far beyond the image.
    """
    far = 16 * max(height, width)
    if not all(math.isfinite(v) and abs(v) <= far for point in points for v in point):
        raise ValueError("a point is no number, or far beyond the image")
    if len(points) < (FEWEST_POINTS if kind == "polygon" else 2):
        return None
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    (x1, y1), (x2, y2) = points[0], points[1]
    if kind == "polygon":
        draw.polygon([(x, y) for x, y in points], fill=1, outline=1)
    elif kind == "circle":
        radius = math.hypot(x2 - x1, y2 - y1)
        draw.ellipse((x1 - radius, y1 - radius, x1 + radius, y1 + radius), fill=1, outline=1)
    else:
        box = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        (draw.rectangle if kind == "rectangle" else draw.ellipse)(box, fill=1, outline=1)
    return encode(np.array(canvas))


def placed_rle(region: npt.NDArray[np.generic], left: int, top: int, height: int, width: int) -> Rle:
    """Encode a mask (h,w) that lies somewhere on an image; what reaches beyond it is cut off."""
    whole = np.zeros((height, width), np.uint8)
    rows, columns = region.shape
    first_row, first_column = max(0, -top), max(0, -left)
    last_row, last_column = min(rows, height - top), min(columns, width - left)
    if first_row < last_row and first_column < last_column:
        part = region[first_row:last_row, first_column:last_column].astype(np.bool_)
        whole[top + first_row : top + last_row, left + first_column : left + last_column] = part
    return encode(whole)
