"""Instances of an image to COCO results. Shapes: H W pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vossegcli.io.results.rle import region_rle
from vossegcli.ops.masks import paste_mask
from vossegcli.systems.base import Instances


def coco_results(
    found: Instances,
    size: tuple[int, int],
    image_id: int,
    category_ids: Sequence[int],
    *,
    origin: tuple[int, int] = (0, 0),
) -> Iterator[dict[str, Any]]:
    """Yield a COCO result an instance; masks that have no pixel in the image are left out.

    Args:
        found: the instances.
        size: (H,W) of the image.
        image_id: of the image.
        category_ids: of each label.
        origin: row and column of the image where the tile begins that the instances were found in.
    """
    height, width = size
    for box, score, label, mask in zip(*(part.cpu() for part in found), strict=True):
        top, left, region = paste_mask(mask, box, (height - origin[0], width - origin[1]))
        if region.any():
            x1, y1, x2, y2 = (round(float(v) + origin[1 - k % 2], 2) for k, v in enumerate(box))
            yield {
                "image_id": image_id,
                "category_id": category_ids[int(label)],
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "score": round(float(score), 5),
                "segmentation": region_rle(region.numpy(), origin[0] + top, origin[1] + left, height, width),
            }
