"""Boxes. Shapes: N boxes, P pairs; a box is (x1, y1, x2, y2) in pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def overlapping_pairs(boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Find the pairs of boxes that overlap, without comparing all with all.

    Boxes are sorted by their left sides, and each is compared with those alone that begin before it ends.

    Args:
        boxes: (N,4).

    Returns:
        (P,2) numbers i < j, sorted.

    Example:
        >>> overlapping_pairs(np.array([[0, 0, 4, 4], [3, 3, 5, 5], [5, 0, 6, 1]])).tolist()
        [[0, 1]]
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    stops = np.searchsorted(x1, x2, side="left")
    pairs = []
    for place, stop in enumerate(stops):
        rest = slice(place + 1, stop)
        near = np.flatnonzero((y1[rest] < y2[place]) & (y2[rest] > y1[place]) & (x2[rest] > x1[place]))
        if near.size:
            others = order[near + place + 1]
            pairs.append(np.stack([np.full(near.size, order[place]), others], axis=1))
    if not pairs:
        return np.zeros((0, 2), np.int64)
    found = np.sort(np.concatenate(pairs), axis=1)
    return found[np.lexsort(found.T[::-1])].astype(np.int64)
