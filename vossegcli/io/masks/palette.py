"""The DAVIS / PASCAL VOC colour map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def davis_palette() -> npt.NDArray[np.uint8]:
    """Compute the colour map by its bit rule.

    Bits 0, 3, 6 of the id fill the red channel from its highest bit down, bits 1, 4, 7 the green one and
    bits 2, 5 the blue one. Source: `VOClabelcolormap.m` of the PASCAL VOC development kit.

    Returns:
        (256,3) uint8 RGB; row 0 is black.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for channel in range(3):
        for level in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            palette[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return palette


PALETTE = davis_palette()
PALETTE.setflags(write=False)


def palette_rows(ids: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return the row of the palette for each id; ids above 255 take the colours of 1..255 again, 0 is background."""
    return np.where(ids > 255, 1 + (ids.astype(np.int64) - 1) % 255, ids)
