"""Regions of label maps: where the objects are, and how well two masks of an object overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
IdsMap = npt.NDArray[np.integer]


class Box(NamedTuple):
    """Rows `top` to `bottom` - 1 and columns `left` to `right` - 1, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    def joined(self, other: Box | None) -> Box:
        """The smallest box around both."""
        if other is None:
            return self
        return Box(
            min(self.top, other.top), max(self.bottom, other.bottom),
            min(self.left, other.left), max(self.right, other.right),
        )  # fmt: skip

    def grown(self, margin: int, height: int, width: int) -> Box:
        """The box with a margin around it, cut at the borders of an image."""
        return Box(
            max(self.top - margin, 0), min(self.bottom + margin, height),
            max(self.left - margin, 0), min(self.right + margin, width),
        )  # fmt: skip

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of the box in an array (H,W)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def object_boxes(ids_map: IdsMap) -> dict[int, Box]:
    """Find every id above 0 of a label map (H,W) and the box around it, from the runs of equal pixels in the rows."""
    height, width = ids_map.shape
    begins = np.ones((height, width), np.bool_)
    np.not_equal(ids_map[:, 1:], ids_map[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    values = ids_map.ravel()[starts]
    ends = np.append(starts[1:], ids_map.size)
    is_object = values > 0
    values, rows, lefts = values[is_object], starts[is_object] // width, starts[is_object] % width
    rights = lefts + (ends - starts)[is_object]
    if not values.size:
        return {}
    order = np.argsort(values, kind="stable")  # the runs of one id together, still from top to bottom
    values, rows, lefts, rights = values[order], rows[order], lefts[order], rights[order]
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    last = np.append(first[1:], values.size) - 1
    columns = np.minimum.reduceat(lefts, first), np.maximum.reduceat(rights, first)
    corners = zip(rows[first].tolist(), (rows[last] + 1).tolist(), *(c.tolist() for c in columns), strict=True)
    return {value: Box(*corner) for value, corner in zip(values[first].tolist(), corners, strict=True)}


def jaccard(a: Mask, b: Mask) -> float:
    """Jaccard index |A & B| / |A | B| of two masks of one shape; 1 where both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def region_similarity(predicted: IdsMap, truth: IdsMap, ids: tuple[int, ...]) -> dict[int, float]:
    """Jaccard index J of each object; 1 where neither label map has it.

    Args:
        predicted: (H,W) object ids.
        truth: (H,W) object ids.
        ids: the objects to measure.

    Returns:
        J by object id, in [0, 1].

    Raises:
        ValueError: the label maps differ in size.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"label maps of {predicted.shape} and {truth.shape}")
    return {object_id: jaccard(predicted == object_id, truth == object_id) for object_id in ids}
