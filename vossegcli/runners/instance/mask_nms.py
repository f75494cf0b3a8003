"""Non-maximum suppression of masks. Shapes: H W pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco_mask

NMS_IOU = 0.7


def mask_nms(results: Sequence[dict[str, Any]], score_threshold: float) -> list[int]:
    """Of overlapping detections (mask IoU at least `NMS_IOU`, across classes), keep the best.

    Args:
        results: COCO results of one image, best first.
        score_threshold: results below it are dropped.

    Returns:
        Numbers of the results that are kept, best first.
    """
    good = [number for number, row in enumerate(results) if row["score"] >= score_threshold]
    if not good:
        return []
    masks = [results[number]["segmentation"] for number in good]
    alike = coco_mask.iou(masks, masks, [0] * len(masks)) >= NMS_IOU
    kept: list[int] = []
    for place in range(len(good)):
        if not alike[place, kept].any():
            kept.append(place)
    return [good[place] for place in kept]
