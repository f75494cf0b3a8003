"""Few-shot segmentation: mIoU and FB-IoU accumulated over the images of each class (HSNet, Min et al., ICCV 2021).

Areas are summed as Python integers; the original sums float32, which loses pixels beyond 2^24 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from vossegcli.metrics.regions import Mask
from vossegcli.scores import Areas


def count_areas(predicted: Mask, truth: Mask, void: Mask | None = None) -> Areas:
    """Count the pixels of one image that prediction and truth agree and disagree on.

    Args:
        predicted: (H,W) pixels of the class.
        truth: (H,W) pixels of the class.
        void: (H,W) pixels that count for nothing, or None.

    Raises:
        ValueError: the masks differ in size.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of {predicted.shape} and {truth.shape}")
    total = truth.size
    if void is not None:
        predicted, truth = predicted & ~void, truth & ~void
        total -= int(np.count_nonzero(void))
    both = int(np.count_nonzero(predicted & truth))
    only_predicted = int(np.count_nonzero(predicted)) - both
    only_truth = int(np.count_nonzero(truth)) - both
    return Areas(both, only_predicted, only_truth, total - both - only_predicted - only_truth)


def add_areas(areas: Iterable[Areas]) -> Areas:
    """Sum the counts of many images."""
    listed = list(areas)
    return Areas(
        sum(a.both for a in listed), sum(a.only_predicted for a in listed),
        sum(a.only_truth for a in listed), sum(a.neither for a in listed),
    )  # fmt: skip


def foreground_iou(areas: Areas) -> float:
    """IoU of the class; 0 where it occurs nowhere."""
    return areas.both / max(areas.both + areas.only_predicted + areas.only_truth, 1)


def background_iou(areas: Areas) -> float:
    """IoU of what is not the class; 0 where that occurs nowhere."""
    return areas.neither / max(areas.neither + areas.only_predicted + areas.only_truth, 1)


def summarise(by_class: Mapping[str, Areas]) -> dict[str, float]:
    """Mean IoU over the classes, and the mean of background's and foreground's IoU over all classes' pixels."""
    total = add_areas(by_class.values())
    return {
        "mIoU": float(np.mean([foreground_iou(areas) for areas in by_class.values()])),
        "FB-IoU": 0.5 * (foreground_iou(total) + background_iou(total)),
    }
