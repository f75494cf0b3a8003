"""Instances as label maps: average precision as StarDist and Cellpose define it, and panoptic quality.

At an IoU threshold t, truth and prediction are matched one to one, as many pairs as possible and among those the ones
with the largest IoU. With TP pairs, FP predictions and FN truths left over:

    AP@t = TP / (TP + FP + FN)         (Stringer et al., Cellpose, 2021; Schmidt et al., StarDist, 2018)
    PQ   = sum of IoU over pairs / (TP + FP / 2 + FN / 2)     (Kirillov et al., CVPR 2019, eq. 1; t = 0.5)

Shape letters: H W pixels, N truths, M predictions, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(9))  # 0.50 to 0.90
PANOPTIC = 0.5


@dataclass(frozen=True)
class MapMatches:
    """Matches of one image at each threshold.

    Attributes:
        truths: N.
        predictions: M.
        pairs: (T,) number of pairs.
        ious: (T,) sum of their IoU.
    """

    truths: int
    predictions: int
    pairs: tuple[int, ...]
    ious: tuple[float, ...]


def match_label_maps(
    truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], thresholds: Sequence[float] = THRESHOLDS
) -> MapMatches:
    """Match the instances of two label maps.

    Args:
        truth: (H,W) ids, 0 = background.
        predicted: (H,W) ids, 0 = background.
        thresholds: T values of IoU.

    Raises:
        ValueError: the sizes differ.

    Example:
        >>> truth = np.array([[1, 1, 0, 2]])
        >>> match_label_maps(truth, np.array([[5, 5, 0, 0]]), (0.5,))
        MapMatches(truths=2, predictions=1, pairs=(1,), ious=(1.0,))
    """
    from scipy.optimize import linear_sum_assignment

    if truth.shape != predicted.shape:
        raise ValueError(f"label maps of {truth.shape} and {predicted.shape} pixels")
    iou = _iou_matrix(truth, predicted)
    pairs, sums = [], []
    for threshold in thresholds:
        enough = iou >= threshold
        rows, columns = linear_sum_assignment(-enough.astype(np.float64) - iou / (2 * max(min(iou.shape), 1)))
        matched = enough[rows, columns]
        pairs.append(int(matched.sum()))
        sums.append(float(iou[rows, columns][matched].sum()))
    return MapMatches(iou.shape[0], iou.shape[1], tuple(pairs), tuple(sums))


def label_map_numbers(matches: Sequence[MapMatches], thresholds: Sequence[float] = THRESHOLDS) -> dict[str, float]:
    """Summarise the matches of a data set.

    Returns:
        `AP@t` over all instances (StarDist's `accuracy`), `image AP@t` as a mean over the images (Cellpose; images
        where both sides are empty are left out), `PQ`, `SQ`, `RQ` at IoU 0.5; -1 where nothing is defined.
    """
    numbers: dict[str, float] = {}
    for k, threshold in enumerate(thresholds):
        unions = [one.truths + one.predictions - one.pairs[k] for one in matches]
        pairs = [one.pairs[k] for one in matches]
        shares = [pair / union for pair, union in zip(pairs, unions, strict=True) if union]
        numbers[f"AP@{threshold:.2f}"] = _ratio(sum(pairs), sum(unions))
        numbers[f"image AP@{threshold:.2f}"] = _ratio(sum(shares), len(shares))
    if PANOPTIC in thresholds:
        k = list(thresholds).index(PANOPTIC)
        pairs_at = sum(one.pairs[k] for one in matches)
        halves = 0.5 * sum(one.truths + one.predictions for one in matches)
        ious = sum(one.ious[k] for one in matches)
        numbers |= {"PQ": _ratio(ious, halves), "SQ": _ratio(ious, pairs_at), "RQ": _ratio(pairs_at, halves)}
    return numbers


def _iou_matrix(truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """(N,M) IoU of all pairs of instances."""
    of_truth, truth_index = np.unique(truth, return_inverse=True)
    of_predicted, predicted_index = np.unique(predicted, return_inverse=True)
    counts = np.bincount(
        truth_index.ravel() * of_predicted.size + predicted_index.ravel(), minlength=of_truth.size * of_predicted.size
    ).reshape(of_truth.size, of_predicted.size)
    unions = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    iou: npt.NDArray[np.float64] = counts / np.maximum(unions, 1)
    objects: npt.NDArray[np.float64] = iou[np.ix_(of_truth != 0, of_predicted != 0)]
    return objects


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else -1.0
