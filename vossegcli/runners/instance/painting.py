"""Maps of ids and overlays of any size, drawn some rows at a time.

Shapes: H W pixels; h w those of a part; N instances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.media.limits import overlay_reduction, reduced_shape
from vossegcli.io.media.regions import Picture
from vossegcli.io.results.overlays import draw_overlay, outline_width
from vossegcli.io.results.rle import cropped_mask

STRIPE = 1024  # rows
MOST_IDS = 65_535  # in 16 bits
COLORS = 254  # of instances; the last of the palette means void


class IdPainter:
    """Paints instances, the best on top, as ids 1, 2, ... in the order given.

    Args:
        rows: COCO results of an image, best first.
        size: (H,W) of it.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], size: tuple[int, int]) -> None:
        self.size = size
        self._rows = rows
        boxes = coco_mask.toBbox([row["segmentation"] for row in rows]) if rows else np.zeros((0, 4))
        self._tops, self._bottoms = boxes[:, 1], boxes[:, 1] + boxes[:, 3]

    def part(self, top: int, bottom: int) -> npt.NDArray[np.uint16]:
        """Paint rows of the image (h,W)."""
        ids = np.zeros((bottom - top, self.size[1]), np.uint16)
        for number in np.flatnonzero((self._tops < bottom) & (self._bottoms > top))[::-1].tolist():
            first, left, mask = cropped_mask(self._rows[number]["segmentation"])
            mask = mask[max(top - first, 0) : max(bottom - first, 0)]
            begin = max(first, top) - top
            ids[begin : begin + mask.shape[0], left : left + mask.shape[1]][mask] = number + 1
        return ids

    def stripes(self) -> Iterator[npt.NDArray[np.uint16]]:
        """Paint the whole image, some rows (h,W) at a time, from the top.

        Raises:
            InputError: there are more instances than ids.
        """
        if len(self._rows) > MOST_IDS:
            what = f"has {len(self._rows)} instances, but a 16-bit map has {MOST_IDS} ids"
            raise InputError(what, fix="raise --score-threshold, or use --save coco,geojson")
        for top in range(0, self.size[0], STRIPE):
            yield self.part(top, min(top + STRIPE, self.size[0]))


def painted_overlay(image: Picture, painter: IdPainter) -> tuple[npt.NDArray[np.uint8], int]:
    """Draw the instances over their image, scaled down where it is too large for a picture.

    Args:
        image: (H,W,3) uint8.
        painter: of its instances.

    Returns:
        (H/f,W/f,3) uint8, rounded up, and the factor f.
    """
    height, width = painter.size
    factor = overlay_reduction(image.shape)
    outline = outline_width(painter.size) * factor
    rows = max(1, STRIPE // factor) * factor
    drawn = np.empty((*reduced_shape(image.shape, factor), 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = max(top - outline, 0), min(bottom + outline, height)
        ids = painter.part(first, last)
        shown = ids if ids.max(initial=0) <= COLORS else np.where(ids > 0, (ids - 1) % COLORS + 1, 0)
        part = draw_overlay(image[first:last, 0:width], shown, outline=outline)[top - first : bottom - first]
        if factor > 1:
            part = np.asarray(Image.fromarray(part).reduce(factor))
        drawn[top // factor :][: part.shape[0]] = part
    return drawn, factor
