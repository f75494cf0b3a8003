"""Average precision and recall as the COCO evaluation defines them, computed by pycocotools.

Shape letters: T IoU thresholds, R recall points, K classes, A area ranges, M limits on detections.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vossegcli.scores import AveragePrecision, ClassPrecision

Floats = npt.NDArray[np.float64]
SIZES = ("s", "m", "l")


def coco_index(dataset: Mapping[str, Any]) -> COCO:
    """Index a COCO data set that is in memory."""
    index = COCO()
    index.dataset = dict(dataset)
    with quiet():
        index.createIndex()
    return index


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Silence what pycocotools prints."""
    return contextlib.redirect_stdout(io.StringIO())


def average_precision(evaluation: COCOeval, max_dets: int) -> AveragePrecision:
    """Run an evaluation and read its numbers.

    The original's summary holds 100 detections for granted and gives -1 for any other limit; this one does not.

    Args:
        evaluation: prepared with its truth, its results and its area ranges (all, small, medium, large).
        max_dets: most detections per image and class, at least 10.
    """
    evaluation.params.maxDets = [1, 10, max_dets]
    with quiet():
        evaluation.evaluate()
        evaluation.accumulate()
    precision: Floats = evaluation.eval["precision"]  # (T,R,K,A,M)
    recall: Floats = evaluation.eval["recall"]  # (T,K,A,M)
    thresholds: Floats = np.asarray(evaluation.params.iouThrs)
    at_50, at_75 = (int(np.argmin(np.abs(thresholds - iou))) for iou in (0.50, 0.75))
    numbers = {
        "AP": _mean(precision[..., 0, -1]),
        "AP50": _mean(precision[at_50, :, :, 0, -1]),
        "AP75": _mean(precision[at_75, :, :, 0, -1]),
        **{f"AP{size}": _mean(precision[..., a, -1]) for a, size in enumerate(SIZES, start=1)},
        **{f"AR{limit}": _mean(recall[..., 0, m]) for m, limit in enumerate(evaluation.params.maxDets)},
        **{f"AR{size}": _mean(recall[..., a, -1]) for a, size in enumerate(SIZES, start=1)},
    }
    curves = np.stack([_mean_over_classes(precision[t, :, :, 0, -1]) for t in range(len(thresholds))])  # (T,R)
    return AveragePrecision(
        numbers,
        _per_class(evaluation, precision, recall, at_50),
        tuple(thresholds.tolist()),
        tuple(evaluation.params.recThrs.tolist()),
        tuple(tuple(row) for row in curves.tolist()),
    )


def _per_class(evaluation: COCOeval, precision: Floats, recall: Floats, at_50: int) -> tuple[ClassPrecision, ...]:
    truth = evaluation.cocoGt
    rows = []
    for k, category in enumerate(evaluation.params.catIds):
        annotations: Sequence[Mapping[str, Any]] = truth.loadAnns(truth.getAnnIds(catIds=[category]))
        name = str(truth.cats[category].get("name", category))
        count = sum(not annotation.get("iscrowd", 0) for annotation in annotations)
        small, medium, large = (_mean(precision[:, :, k, a, -1]) for a in (1, 2, 3))
        rows.append(
            ClassPrecision(
                int(category), name, count, _mean(precision[:, :, k, 0, -1]), _mean(precision[at_50, :, k, 0, -1]),
                small, medium, large, _mean(recall[:, k, 0, -1]),
            )
        )  # fmt: skip
    return tuple(rows)


def _mean(values: Floats) -> float:
    """Mean of what is defined; -1 where nothing is, as COCO writes it."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _mean_over_classes(values: Floats) -> Floats:
    """(R,K) to (R,): mean over the classes that have a ground truth; zeros where none has."""
    defined = (values > -1).all(axis=0)
    mean: Floats = values[:, defined].mean(axis=1) if defined.any() else np.zeros(values.shape[0])
    return mean
