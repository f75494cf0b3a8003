"""EXIF orientation of pictures, and samples that are turned as it says.

Shapes: H W pixels.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

EXIF_ORIENTATION = 0x0112
ON_THEIR_SIDE = frozenset({5, 6, 7, 8})
MIRRORED = frozenset({2, 3, 6, 7})  # columns are reversed
UPSIDE_DOWN = frozenset({3, 4, 7, 8})  # rows are reversed
_PNG_START = 8


def orientation_of(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8, of a picture that was opened by its path.

    A PNG file may say it behind its pixels, which Pillow decodes to look there. They stay as they are where nothing
    follows them.
    """
    if isinstance(image, PngImageFile) and not _follow_pixels(Path(os.fsdecode(image.filename))):
        return int(Image.Image.getexif(image).get(EXIF_ORIENTATION, 1))
    return int(image.getexif().get(EXIF_ORIENTATION, 1))


def upright_samples(samples: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn samples, (H,W) or (H,W,3), as an EXIF orientation (1 to 8) says."""
    if orientation in ON_THEIR_SIDE:
        samples = samples.swapaxes(0, 1)
    if orientation in MIRRORED:
        samples = samples[:, ::-1]
    if orientation in UPSIDE_DOWN:
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _follow_pixels(path: Path) -> bool:
    """Return True if chunks follow the pixels of a PNG file, or it ends early."""
    behind = False
    with path.open("rb") as file:
        file.seek(_PNG_START)
        while len(header := file.read(8)) == 8:  # noqa: PLR2004 - length and kind of a chunk
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if behind and kind != b"IDAT":
                return kind != b"IEND"
            behind = kind == b"IDAT"
            file.seek(length + 4, 1)
    return True
