"""Palette images: whether their indices are ids, or their colours are what was drawn.

Tools of this field write ids as indices and keep black, the background, at index 0. Picture editors order a palette
as they like: there, only the colours mean something.

Shapes: H W pixels; N entries of a palette.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.io.masks.palette import PALETTE

_VOID = 255


class IndexedImage(NamedTuple):
    """Content of a palette image.

    Attributes:
        pixels: (H,W) uint8 indices, or (H,W,3) uint8 colours with transparent pixels black.
        kind: which of the two.
        note: what was interpreted, or None.
        colors: (N,3) uint8, the palette, where the pixels are indices and it is not the DAVIS palette, else None:
            with that palette the indices are ids beyond doubt.
    """

    pixels: npt.NDArray[np.uint8]
    kind: Literal["palette", "color"]
    note: str | None
    colors: npt.NDArray[np.uint8] | None = None


def read_indexed(image: Image.Image) -> IndexedImage:
    """Read a palette image, as its indices or as its colours.

    * Black is index 0, or no pixel is black: the indices are ids.
    * Another index is black and 0 is not: the colours count. Black at 255 alone is void, not background.
    * A transparent index is background; where index 0 shows another colour beside it, the colours count.

    Args:
        image: of mode P or PA.
    """
    indices, clear = _indices_and_clear(image)
    used = np.flatnonzero(np.bincount(indices[~clear].ravel(), minlength=256))
    colors = _colors(image)
    shown = {int(index): colors[index] for index in used if index < len(colors)}
    black = [index for index, color in shown.items() if not color.any()]
    zero_is_object = 0 in shown and bool(shown[0].any())
    zero_is_free = 0 not in shown or zero_is_object
    by_editor = black and 0 not in black and black != [_VOID] and len(shown) > 1 and zero_is_free
    hidden = clear & (indices > 0)
    if by_editor or (zero_is_object and hidden.any()):
        pixels = colors[np.minimum(indices, max(len(colors) - 1, 0))].astype(np.uint8)
        pixels[clear] = 0
        what = f"palette index {black[0]} is black" if by_editor else "a palette index is transparent"
        return IndexedImage(pixels, "color", f"{what} and 0 is not: the colours were read, not the indices")
    known = all(np.array_equal(color, PALETTE[index]) for index, color in shown.items())
    note = "a transparent palette index was read as background" if hidden.any() else None
    full = np.zeros((256, 3), np.uint8)
    full[: len(colors)] = colors
    return IndexedImage(np.where(clear, 0, indices).astype(np.uint8), "palette", note, None if known else full)


def is_plain_palette(image: Image.Image) -> bool:
    """Return True if the indices of an image of mode P look like ids: black is 0, and nothing is transparent."""
    return "transparency" not in image.info and not _colors(image)[:1].any()


def _indices_and_clear(image: Image.Image) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The indices (H,W), and which pixels (H,W) are fully transparent."""
    samples = np.array(image)
    if samples.ndim == 3:  # PA: an alpha value a pixel
        return samples[..., 0].astype(np.uint8), samples[..., 1] == 0
    indices = samples.astype(np.uint8)
    transparency = image.info.get("transparency")
    if isinstance(transparency, int):
        return indices, indices == transparency
    alpha = np.full(256, 255)
    if isinstance(transparency, bytes):
        alpha[: len(transparency)] = np.frombuffer(transparency, np.uint8)[:256]
    clear: npt.NDArray[np.bool_] = (alpha == 0)[indices]
    return indices, clear


def _colors(image: Image.Image) -> npt.NDArray[np.int64]:
    return np.array(image.getpalette("RGB") or [], dtype=np.int64).reshape(-1, 3)
