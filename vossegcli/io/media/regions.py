"""Pictures of which parts are read: an array, or a file that is never in memory as a whole.

Shapes: H W pixels; h w those of a part. Parts are uint8 RGB, (h,w,3).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vossegcli.io.media.array_frames import is_array_frame
from vossegcli.io.media.decoded_regions import DecodedRegions, open_decoded_regions
from vossegcli.io.media.depth import RangeChoice, Samples, SequenceDepth, single_image_note
from vossegcli.io.media.images import read_samples
from vossegcli.io.media.tiff_regions import TiffRegions, open_tiff_regions

BANDS = 32  # parts that the range of more than 8 bits is found in, all of them


class Picture(Protocol):
    """A picture of which rows and columns can be taken, as of an array (H,W,3) uint8."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H,W,3)."""

    def __getitem__(self, place: tuple[slice, slice], /) -> npt.NDArray[np.uint8]:
        """Give a part (h,w,3)."""


class ShownPicture:
    """Shows parts of samples of any depth as 8-bit RGB.

    Args:
        samples: (H,W) or (H,W,3), an array or a file.
        choice: the range of values that is shown, for more than 8 bits; None = that of the whole content.
    """

    def __init__(self, samples: Samples | TiffRegions | DecodedRegions, choice: RangeChoice = None) -> None:
        self._samples = samples
        self._bands = min(BANDS, samples.shape[0])
        self._depth = SequenceDepth(self._bands, self._band, choice)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H,W,3)."""
        return (*self._samples.shape[:2], 3)

    @property
    def note(self) -> str | None:
        """A sentence on how the samples are scaled, or None where they are not."""
        return single_image_note(self._depth.note)

    def __getitem__(self, place: tuple[slice, slice], /) -> npt.NDArray[np.uint8]:
        """Give a part (h,w,3).

        Raises:
            InputError: the file is damaged there.
        """
        return self._depth.shown(self._samples[place], "image")

    def _band(self, number: int) -> Samples:
        height = self._samples.shape[0]
        first, last = number * height // self._bands, (number + 1) * height // self._bands
        return self._samples[first:last, :]


def open_picture(path: Path, choice: RangeChoice = None) -> ShownPicture:
    """Open an image file to read parts of it.

    TIFF files are read by their tiles or strips; files of other formats are decoded once, and the decoded
    picture is kept as Pillow stores it.

    Args:
        path: a file in any format that Pillow or tifffile reads; of several pages the first is taken.
        choice: the range of values that is shown, for more than 8 bits.

    Raises:
        InputError: the file is absent, empty, truncated, too large or not an image.
    """
    regions = None if is_array_frame(path) else open_tiff_regions(path) or open_decoded_regions(path)
    return ShownPicture(read_samples(path) if regions is None else regions, choice)
