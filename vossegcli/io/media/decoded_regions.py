"""Parts of pictures that Pillow decodes as a whole: the decoded picture is kept once, and never copied as a whole.

Shapes: H W pixels; h w those of a part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.io.media.images import is_deep_grey, opened_image, rgb_over_black
from vossegcli.io.media.orientation import MIRRORED, ON_THEIR_SIDE, UPSIDE_DOWN, orientation_of, upright_samples


class DecodedRegions:
    """A decoded picture of up to 8 bits, of which upright parts are taken as RGB.

    Args:
        image: decoded.
        orientation: its EXIF orientation, 1 to 8.
    """

    def __init__(self, image: Image.Image, orientation: int) -> None:
        self._image = image
        self._orientation = orientation
        height, width = image.height, image.width
        self.shape = (width, height, 3) if orientation in ON_THEIR_SIDE else (height, width, 3)

    def __getitem__(self, place: tuple[slice, slice], /) -> npt.NDArray[np.uint8]:
        """Give a part (h,w,3), transparency shown over black."""
        top, bottom, _ = place[0].indices(self.shape[0])
        left, right, _ = place[1].indices(self.shape[1])
        if self._orientation in UPSIDE_DOWN:
            top, bottom = self.shape[0] - bottom, self.shape[0] - top
        if self._orientation in MIRRORED:
            left, right = self.shape[1] - right, self.shape[1] - left
        box = (left, top, right, bottom)
        if self._orientation in ON_THEIR_SIDE:
            box = (top, left, bottom, right)
        part: npt.NDArray[np.uint8] = upright_samples(rgb_over_black(self._image.crop(box)), self._orientation)
        return part


def open_decoded_regions(path: Path) -> DecodedRegions | None:
    """Decode a picture; None where Pillow does not give all its bits, or where they are more than 8.

    Raises:
        InputError: the file is absent, empty, truncated, too large or not an image.
    """
    with opened_image(path) as image:
        is_cut = any("16" in str(tile.args) for tile in image.tile)  # the raw mode of samples that lose 8 of 16 bits
        if image.format == "TIFF" or is_deep_grey(image) or is_cut:
            return None
        image.load()
        orientation = orientation_of(image)
    return DecodedRegions(image, orientation)
