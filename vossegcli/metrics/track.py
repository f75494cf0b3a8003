"""Video instance segmentation: AP of spatio-temporal masks (YouTube-VIS; Yang et al., ICCV 2019).

Equal to ytvoseval, but for results shorter or longer than their video: the original drops the frames that one side
lacks, here they count as frames without a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from vossegcli.metrics.average_precision import Floats, average_precision, coco_index
from vossegcli.scores import AveragePrecision

RLE = Mapping[str, Any]
Masklet = Sequence[RLE | None]

#: Mean area of the frames in which the object is, in pixels: all, small, medium, large.
AREA_RANGES = [[0, 1e10], [0, 128**2], [128**2, 256**2], [256**2, 1e10]]


def track_precision(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, max_dets: int = 100
) -> AveragePrecision:
    """AP and AR of masklets over the videos of a data set.

    Args:
        truth: a YouTube-VIS data set whose `segmentations` are compressed RLE or None.
        results: YouTube-VIS results, likewise.
        max_dets: most results per video and class, at least 10.
    """
    base = {"images": list(truth["videos"]), "categories": list(truth["categories"])}
    theirs = [_annotation(i, a, a.get("areas")) for i, a in enumerate(truth["annotations"], start=1)]
    ours = [_annotation(i, r, None) for i, r in enumerate(results, start=1)]
    evaluation = _VideoEvaluation(
        coco_index({**base, "annotations": theirs}), coco_index({**base, "annotations": ours}), "segm"
    )
    evaluation.params.areaRng = AREA_RANGES
    return average_precision(evaluation, max_dets)


def masklet_iou(a: Masklet, b: Masklet) -> float:
    """Sum of the intersections over sum of the unions, over the frames; 0 where both are empty throughout."""
    intersection = union = 0
    for one, other in zip_longest(a, b):
        if one and other:
            intersection += int(coco_mask.area(coco_mask.merge([one, other], intersect=True)))
            union += int(coco_mask.area(coco_mask.merge([one, other], intersect=False)))
        elif one or other:
            union += int(coco_mask.area(one or other))
    return intersection / union if union else 0.0


def _annotation(number: int, source: Mapping[str, Any], areas: Sequence[float | None] | None) -> dict[str, Any]:
    """A masklet in the shape of a COCO annotation: the video is the image."""
    if areas is None:
        areas = [float(coco_mask.area(rle)) if rle else None for rle in source["segmentations"]]
    shown = [area for area in areas if area]
    return {
        "id": number,
        "image_id": source["video_id"],
        "category_id": source["category_id"],
        "area": float(np.mean(shown)) if shown else 0.0,
        "iscrowd": source.get("iscrowd", 0),
        "score": source.get("score"),
        "segmentations": source["segmentations"],
        "segmentation": {"size": [0, 0], "counts": b""},  # never looked at: pycocotools asks for one
    }


class _VideoEvaluation(COCOeval):  # type: ignore[misc]
    """COCO's evaluation on masklets; crowds are ignored but compared like any other."""

    def computeIoU(self, video: int, category: int) -> Floats | list[Any]:  # noqa: N802 - overrides pycocotools
        """IoU (D,G) of the results (best scores first) with the truths of one video and class."""
        truths, found = self._gts[video, category], self._dts[video, category]
        if not truths and not found:
            return []
        order = np.argsort([-result["score"] for result in found], kind="mergesort")[: self.params.maxDets[-1]]
        ious = [[masklet_iou(found[i]["segmentations"], t["segmentations"]) for t in truths] for i in order]
        return np.asarray(ious, np.float64).reshape(len(order), len(truths))
