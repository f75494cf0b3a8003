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
    """Find every id of a label map (H,W) but 0, and the box around it, from the runs of equal pixels in the rows."""
    rows = np.flatnonzero(ids_map.max(axis=1))
    if not rows.size:
        return {}
    top = int(rows[0])
    band = ids_map[top : rows[-1] + 1]
    columns = np.flatnonzero(band.max(axis=0))
    left, width = int(columns[0]), int(columns[-1] - columns[0]) + 1
    pixels = band[:, left : left + width].ravel()  # nothing is farther out
    begins = np.empty(pixels.size, np.bool_)
    np.not_equal(pixels[1:], pixels[:-1], out=begins[1:])
    begins[::width] = True
    starts = np.flatnonzero(begins)
    values, lengths = pixels[starts], np.diff(starts, append=pixels.size)
    shown = np.flatnonzero(values)
    shown = shown[np.argsort(values[shown], kind="stable")]  # the runs of one id together, still from top to bottom
    values = values[shown]
    rows, lefts = np.divmod(starts[shown], width)
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    last = np.append(first[1:], values.size) - 1
    edges = np.minimum.reduceat(lefts, first) + left, np.maximum.reduceat(lefts + lengths[shown], first) + left
    corners = zip(
        (rows[first] + top).tolist(), (rows[last] + top + 1).tolist(), *(e.tolist() for e in edges), strict=True
    )
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
