"""Outlines of masks as polygons of pixel centres, for tools whose shapes people correct by their corners.

Drawn with its outline filled, as Pillow and labelme do it, such a polygon gives exactly the mask again.

Shapes: H W pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are first used: most runs need none of them

Mask = npt.NDArray[np.bool_]
Point = tuple[int, int]

#: Steps (row, column) to the eight neighbours, clockwise on the screen from the right one.
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
_EIGHT = np.ones((3, 3), bool)


def parts_of(mask: Mask) -> list[tuple[Mask, int, int]]:
    """Split a mask (H,W) into its connected parts: each cut out (h,w), with its left column and top row."""
    labels, _ = scipy.ndimage.label(mask, structure=_EIGHT)
    found = []
    for number, place in enumerate(scipy.ndimage.find_objects(labels), start=1):
        found.append((labels[place] == number, int(place[1].start), int(place[0].start)))
    return found


def has_holes(part: Mask) -> bool:
    """Return True if a connected part (h,w) surrounds pixels that are not in it."""
    return bool((scipy.ndimage.binary_fill_holes(part) & ~part).any())


def outline_of(part: Mask) -> list[Point]:
    """Follow the outer pixels of a connected part (h,w), corners only.

    Returns:
        (x, y) of pixel centres in the part, in order; one or two points for a pixel or a line of pixels.
    """
    padded = np.pad(part, 1)
    row, column = (int(v) for v in np.argwhere(padded)[0])
    direction = 7
    path: list[Point] = []
    first: tuple[int, int, int] | None = None
    while True:
        moved = _next(padded, row, column, direction)
        if moved is None:
            return [(column - 1, row - 1)]
        if moved == first:
            return _corners(path)
        first = first or moved
        row, column, direction = moved
        path.append((column - 1, row - 1))


def _next(padded: Mask, row: int, column: int, direction: int) -> tuple[int, int, int] | None:
    """The next pixel of the outline: the first neighbour of the part, clockwise from behind on the left."""
    for turn in range(8):
        candidate = (direction + 6 + turn) % 8
        down, right = _STEPS[candidate]
        if padded[row + down, column + right]:
            return row + down, column + right, candidate
    return None


def _corners(path: list[Point]) -> list[Point]:
    """Leave out the points on straight stretches."""
    points = np.array(path)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    kept = (before != after).any(axis=1)
    return [(int(x), int(y)) for x, y in points[kept]]
