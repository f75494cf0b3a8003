"""Instances of an image as COCO results. Shapes: N instances, H W pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.io.results.rle import region_rle

Region = tuple[int, int, npt.NDArray[np.bool_]]  # upper row, left column, (h,w) mask


def coco_results(
    found: Iterable[tuple[Sequence[float], float, int, Region]],
    size: tuple[int, int],
    image_id: int | str,
    category_ids: Sequence[int],
    *,
    origin: tuple[int, int] = (0, 0),
) -> Iterator[dict[str, Any]]:
    """Yield a COCO result per instance; masks that have no pixel in the image are left out.

    Args:
        found: of each instance the box (x1, y1, x2, y2) in pixels, the score, the number of the class from 0, and the
            mask; box and mask count from the origin.
        size: (H,W) of the image.
        image_id: of the image.
        category_ids: of each label.
        origin: row and column of the image where the tile begins that the instances were found in.
    """
    row, column = origin
    for box, score, label, (top, left, region) in found:
        if region.any():
            x1, y1, x2, y2 = (round(v + origin[1 - k % 2], 2) for k, v in enumerate(box))
            yield {
                "image_id": image_id,
                "category_id": category_ids[label],
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "score": round(score, 5),
                "segmentation": region_rle(region, row + top, column + left, *size),
            }
