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


def color_of(object_id: int) -> tuple[int, int, int]:
    """Give the RGB colour of an object; ids above 255 take the colours of 1..255 again.

    Args:
        object_id: 0 or more; 0 is background, black.
    """
    row = object_id if object_id < 256 else 1 + (object_id - 1) % 255
    red, green, blue = (int(value) for value in PALETTE[row])
    return red, green, blue
