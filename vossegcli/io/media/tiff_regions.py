"""Parts of a TIFF file, read as they are needed: from its tiles, its strips, or its rows of uncompressed samples.

Of a pyramid, the largest level is read.

Shapes: H W pixels; h w those of a part; S samples a pixel.
"""

from __future__ import annotations

import math
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile

from vossegcli.errors import InputError, VossegError
from vossegcli.io.media.depth import Samples
from vossegcli.io.media.images import TIFF_SIGNATURES, check_pixels
from vossegcli.io.media.orientation import EXIF_ORIENTATION
from vossegcli.io.media.tiff_segments import Segment, decode_segment, decode_with_pillow

CACHE_BYTES = 192 * 2**20  # of decoded segments: more than the row of tiles that two rows of parts share
LARGEST_SEGMENT = 96 * 2**20  # bytes; with larger ones, parts would gain nothing
_COLORS = 3
_PHOTOMETRICS = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_TYPES = frozenset({"u1", "u2", "u4", "i2", "i4", "f4", "f8"})
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, tifffile.TiffFileError)


def open_tiff_regions(path: Path) -> TiffRegions | None:
    """Open a TIFF file to read parts of it.

    Returns:
        None if it is none, or one that can only be read as a whole: of few large segments, turned, with a palette or
        transparency, or compressed in a way that cannot be decoded here.

    Raises:
        InputError: it has too many pixels.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) not in TIFF_SIGNATURES:
                return None
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            check_pixels(path, page.imagelength, page.imagewidth)
            regions = TiffRegions(path, page, tiff.byteorder) if _is_simple(page) else None
            return regions if regions is not None and regions.can_read() else None
    except VossegError:
        raise
    except Exception:  # noqa: BLE001 - of all kinds on damaged files; the reader of whole files says what is wrong
        return None


def _is_simple(page: tifffile.TiffPage) -> bool:
    """Return True if the samples of a page are its pixels, upright."""
    return (
        page.samplesperpixel in {1, _COLORS}
        and page.photometric in _PHOTOMETRICS
        and page.imagedepth == 1
        and page.dtype is not None
        and page.dtype.str[1:] in _TYPES
        and page.bitspersample == 8 * page.dtype.itemsize
        and page.tags.valueof(EXIF_ORIENTATION, 1) == 1
        and not page.extrasamples
    )


class TiffRegions:
    """The first page of a TIFF file, as an array of which only parts can be taken.

    Args:
        path: the file.
        page: its first page.
        byteorder: of the file.
    """

    def __init__(self, path: Path, page: tifffile.TiffPage, byteorder: Literal["<", ">"]) -> None:
        self._path, self._page = path, page
        self._height, self._width = int(page.imagelength), int(page.imagewidth)
        self._samples = int(page.samplesperpixel)
        self._separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and self._samples > 1
        self._stored = np.dtype(page.dtype).newbyteorder(byteorder)
        self._offsets, self._counts = tuple(page.dataoffsets), tuple(page.databytecounts)
        rows = int(page.tilelength if page.is_tiled else min(page.rowsperstrip, self._height))
        self._grid = (rows, int(page.tilewidth if page.is_tiled else self._width))
        self._by_pillow = False
        self._cache: OrderedDict[int, Segment] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """(H,W), or (H,W,3)."""
        return (self._height, self._width) if self._samples == 1 else (self._height, self._width, self._samples)

    def can_read(self) -> bool:
        """Try to decode a segment, and find how."""
        if self._page.is_contiguous:
            return True
        planes = 1 if self._separate else self._samples
        if math.prod(self._grid) * planes * self._stored.itemsize > LARGEST_SEGMENT:
            return False
        for by_pillow in (False, True) if self._stored.itemsize == 1 else (False,):
            self._by_pillow = by_pillow
            try:
                self._segment(0)
            except InputError:
                continue
            return True
        return False

    def __getitem__(self, place: tuple[slice, slice]) -> Samples:
        """Read rows and columns, both from where to where.

        Raises:
            InputError: the file is damaged there.
        """
        top, bottom, _ = place[0].indices(self._height)
        left, right, _ = place[1].indices(self._width)
        with self._lock:
            if self._page.is_contiguous:
                part = self._stored_rows(top, bottom)[:, left:right]
            else:
                part = self._from_segments(top, bottom, left, right)
        # Rows of a map of the file can be read only; what leaves here may be written to.
        native = np.require(part, self._stored.newbyteorder("="), ["C", "W", "E"])
        return native[..., 0] if self._samples == 1 else native

    def _stored_rows(self, top: int, bottom: int) -> Samples:
        """Map uncompressed rows (h,W,S); only what is copied of them is read."""
        planes, samples = (self._samples, 1) if self._separate else (1, self._samples)
        shape = (planes, self._height, self._width, samples)
        try:
            stored = np.memmap(self._path, self._stored, "r", int(self._offsets[0]), shape)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        rows = stored[:, top:bottom]
        return np.moveaxis(rows[..., 0], 0, 2) if self._separate else rows[0]

    def _from_segments(self, top: int, bottom: int, left: int, right: int) -> Samples:
        rows, columns = self._grid
        part = np.empty((bottom - top, right - left, self._samples), self._stored.newbyteorder("="))
        for index, plane, y, x in self._segments_in(top, bottom, left, right):
            first, last = max(top, y), min(bottom, y + rows, self._height)
            begin, end = max(left, x), min(right, x + columns)
            segment = self._segment(index)[first - y : last - y, begin - x : end - x]
            part[first - top : last - top, begin - left : end - left, plane] = segment
        return part

    def _segments_in(self, top: int, bottom: int, left: int, right: int) -> Iterator[tuple[int, slice, int, int]]:
        """The segments that touch a part: index, samples of the pixel, first row and column."""
        rows, columns = self._grid
        down, across = -(-self._height // rows), -(-self._width // columns)
        for plane in range(self._samples if self._separate else 1):
            for row in range(top // rows, -(-bottom // rows)):
                for column in range(left // columns, -(-right // columns)):
                    which = slice(plane, plane + 1) if self._separate else slice(None)
                    yield (plane * down + row) * across + column, which, row * rows, column * columns

    def _segment(self, index: int) -> Segment:
        """A decoded segment (h,w,S); those used last are kept."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        try:
            segment = self._decoded(index)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        self._cache[index] = segment
        while len(self._cache) > 1 and len(self._cache) * segment.nbytes > CACHE_BYTES:
            self._cache.popitem(last=False)
        return segment

    def _decoded(self, index: int) -> Segment:
        rows, columns = self._grid
        down, across = -(-self._height // rows), -(-self._width // columns)
        if not self._page.is_tiled:  # the last strip ends with the image
            rows = min(rows, self._height - index // across % down * rows)
        if not self._counts[index]:  # a tile without content
            return np.zeros((rows, columns, 1 if self._separate else self._samples), self._stored.newbyteorder("="))
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            content = file.read(self._counts[index])
        if self._by_pillow:
            return decode_with_pillow(self._page, content, (rows, columns))
        return decode_segment(self._page, content, index)

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"is damaged or truncated ({error})", where=self._path, fix="replace or remove the file")
