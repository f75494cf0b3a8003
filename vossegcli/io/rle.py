"""Run-length encodings of masks, as COCO stores them."""

from __future__ import annotations

from typing import Any

from pycocotools import mask as coco_mask


def compressed_rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:  # noqa: ANN401 - COCO allows three forms
    """Turn polygons, uncompressed RLE or compressed RLE into compressed RLE with a str count."""
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    counts = rle["counts"]
    return {"size": list(rle["size"]), "counts": counts.decode() if isinstance(counts, bytes) else counts}
