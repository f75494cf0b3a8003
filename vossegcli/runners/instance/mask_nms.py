"""Non-maximum suppression of masks. Shapes: H W pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vossegcli.ops.boxes import overlapping_pairs

NMS_IOU = 0.7


def mask_nms(results: Sequence[dict[str, Any]], score_threshold: float) -> list[int]:
    """Of overlapping detections (mask IoU at least `NMS_IOU`, across classes), keep the best.

    Only masks whose boxes overlap are compared.

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
    boxes = coco_mask.toBbox(masks)
    better: dict[int, list[int]] = {}
    for first, second in overlapping_pairs(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])):
        better.setdefault(int(second), []).append(int(first))
    kept: dict[int, None] = {}
    for place in range(len(good)):
        rivals = [masks[other] for other in better.get(place, ()) if other in kept]
        if not rivals or not (coco_mask.iou([masks[place]], rivals, [0] * len(rivals)) >= NMS_IOU).any():
            kept[place] = None
    return [good[place] for place in kept]
