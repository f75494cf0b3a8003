"""Masks of one thing whose edges are soft, or that went through JPEG: cut at half between black and white.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.masks.stored_masks import read_stored_mask

Mask = npt.NDArray[np.bool_]

NOTE = "soft edges were cut at half"
_LEAST_WHITE = 0.5  # of the full range
_MARGIN = 0.15  # of the range, at both ends, that counts as black and white
_MOST_BETWEEN = 0.35  # of the pixels that are not black lie between
_GREY_TOLERANCE = 24
_MOST_COLORED = 0.01


def cut_at_half(path: Path) -> npt.NDArray[np.bool_] | None:
    """Read a mask (H,W) of two grey levels with soft or noisy edges.

    Returns:
        None if it is of another kind: a palette, colours, more than two levels, or a picture.

    Raises:
        InputError: the file cannot be read.
    """
    stored = read_stored_mask(path)
    if stored.kind == "palette":
        return None
    levels = stored.pixels.astype(np.int64)
    if levels.ndim == 3:
        if ((levels.max(axis=2) - levels.min(axis=2)) > _GREY_TOLERANCE).mean() > _MOST_COLORED:
            return None
        levels = levels[..., 1]
    top = int(levels.max())
    if top < _LEAST_WHITE * stored.white:
        return None
    visible = levels > _MARGIN * top
    between = visible & (levels < (1 - _MARGIN) * top)
    if between.sum() > _MOST_BETWEEN * visible.sum():
        return None
    cut: npt.NDArray[np.bool_] = levels > top / 2
    return cut


def read_one_thing(path: Path, read: Callable[[Path], Mask]) -> tuple[Mask, bool]:
    """Read a mask, and where that is refused, cut it at half.

    Args:
        path: the file.
        read: the way to read a mask with hard edges.

    Returns:
        the mask (H,W), and whether it had to be cut.

    Raises:
        InputError: it can be read in neither way.
    """
    try:
        return read(path), False
    except InputError:
        cut = cut_at_half(path)
        if cut is None:
            raise
        return cut, True
