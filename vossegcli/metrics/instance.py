"""Instance segmentation: COCO AP of masks and boxes, and boundary AP (Cheng et al., CVPR 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from vossegcli.metrics.average_precision import average_precision, coco_index, quiet
from vossegcli.scores import AveragePrecision

DILATION_RATIO = 0.02
Results = Sequence[Mapping[str, Any]]


def instance_precision(
    truth: Mapping[str, Any], results: Results, iou: str, *, max_dets: int = 100, dilation_ratio: float = DILATION_RATIO
) -> AveragePrecision:
    """AP and AR of instances over the images of a data set.

    The area of a result that carries a `bbox` is that of its box, also for masks (as pycocotools has it).

    Args:
        truth: a COCO instances data set.
        results: COCO results.
        iou: what is compared: `segm`, `bbox` or `boundary`.
        max_dets: most results per image and class, at least 10.
        dilation_ratio: width of the boundary as a share of the image's diagonal.
    """
    index = coco_index(truth)
    with quiet():
        found = (
            index.loadRes([dict(result) for result in results]) if results else coco_index({**truth, "annotations": []})
        )
    if iou == "boundary":
        return average_precision(_BoundaryEvaluation(index, found, dilation_ratio), max_dets)
    return average_precision(COCOeval(index, found, iou), max_dets)


class _BoundaryEvaluation(COCOeval):  # type: ignore[misc]
    """Compares masks by the smaller of mask IoU and boundary IoU; crowds by mask IoU alone."""

    def __init__(self, truth: Any, found: Any, dilation_ratio: float) -> None:  # noqa: ANN401 - COCO is untyped
        super().__init__(truth, found, "segm")
        self._ratio = dilation_ratio
        self._boundaries: dict[int, dict[str, Any]] = {}

    def computeIoU(self, image: int, category: int) -> Any:  # noqa: ANN401, N802 - overrides pycocotools
        """IoU of the results (best scores first) with the truths of one image and class."""
        ious = super().computeIoU(image, category)
        truths = self._gts[image, category]
        if len(ious) == 0 or not truths:
            return ious
        scores = [-result["score"] for result in self._dts[image, category]]
        order = np.argsort(scores, kind="mergesort")[: self.params.maxDets[-1]]
        ours = [self._boundary(self._dts[image, category][i]) for i in order]
        theirs = [self._boundary(truth) for truth in truths]
        of_boundaries = coco_mask.iou(ours, theirs, [0] * len(theirs))
        crowds = np.array([bool(truth.get("iscrowd", 0)) for truth in truths])
        return np.where(crowds[None], ious, np.minimum(ious, of_boundaries))

    def _boundary(self, annotation: dict[str, Any]) -> dict[str, Any]:
        if id(annotation) not in self._boundaries:
            rle = boundary_region(coco_mask.decode(annotation["segmentation"]), self._ratio)
            self._boundaries[id(annotation)] = coco_mask.encode(np.asfortranarray(rle))
        return self._boundaries[id(annotation)]


def boundary_region(mask: npt.NDArray[np.uint8], dilation_ratio: float = DILATION_RATIO) -> npt.NDArray[np.uint8]:
    """The pixels of a mask within a distance of its outline, measured in steps to any of 8 neighbours.

    Args:
        mask: (H,W) of 0 and 1; the image's border counts as outline.
        dilation_ratio: the distance as a share of the diagonal, rounded, at least one pixel.
    """
    from scipy import ndimage  # a fifth of a second to import, and boundaries alone need it

    distance = max(1, round(dilation_ratio * math.hypot(*mask.shape)))
    size = 2 * distance + 1
    inner = ndimage.minimum_filter(mask, size=size, mode="constant", cval=0)
    region: npt.NDArray[np.uint8] = mask - inner
    return region
