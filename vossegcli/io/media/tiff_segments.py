"""One tile or strip of a TIFF file, decoded by itself.

What tifffile does not decode without more packages (JPEG, LZW, WebP) libtiff does: the tile is given to Pillow as a
small TIFF file of its own, in memory.

Shapes: h w pixels of a tile or strip; S samples a pixel.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Segment = npt.NDArray[Any]

_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_BYTES = {_SHORT: 2, _LONG: 4, _UNDEFINED: 1}
_FORMATS = {_SHORT: "H", _LONG: "I", _UNDEFINED: "B"}
_INLINE = 4
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS = 256, 257, 258, 259, 262, 273
_SAMPLES, _ROWS, _COUNTS, _PLANAR, _PREDICTOR, _JPEG_TABLES, _SUBSAMPLING = 277, 278, 279, 284, 317, 347, 530

Tag = tuple[int, int, tuple[int, ...]]  # number, type, values


def decode_segment(page: tifffile.TiffPage, content: bytes, index: int) -> Segment:
    """Decode a segment with tifffile.

    Args:
        page: whose segment it is.
        content: as stored.
        index: of the segment.

    Returns:
        (h,w,S) samples.

    Raises:
        ValueError: the compression is not one that tifffile decodes by itself, or the segment is damaged.
    """
    segment, _, _ = page.decode(content, index, jpegtables=page.jpegtables)
    if segment is None:
        raise ValueError("the segment is empty")
    decoded: Segment = segment[0]
    return decoded


def decode_with_pillow(page: tifffile.TiffPage, content: bytes, size: tuple[int, int]) -> Segment:
    """Decode a segment of 8-bit samples with Pillow.

    Args:
        page: whose segment it is.
        content: as stored.
        size: (h,w) of the segment.

    Returns:
        (h,w,S) uint8.

    Raises:
        OSError: the segment is damaged.
    """
    separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    samples = 1 if separate else page.samplesperpixel
    photometric = tifffile.PHOTOMETRIC.MINISBLACK if separate else page.photometric
    tags: list[Tag] = [
        (_WIDTH, _LONG, (size[1],)), (_HEIGHT, _LONG, (size[0],)), (_BITS, _SHORT, (8,) * samples),
        (_COMPRESSION, _SHORT, (int(page.compression),)), (_PHOTOMETRIC, _SHORT, (int(photometric),)),
        (_SAMPLES, _SHORT, (samples,)), (_ROWS, _LONG, (size[0],)), (_COUNTS, _LONG, (len(content),)),
        (_PLANAR, _SHORT, (1,)), (_PREDICTOR, _SHORT, (int(page.predictor),)),
    ]  # fmt: skip
    if page.jpegtables:
        tags.append((_JPEG_TABLES, _UNDEFINED, tuple(page.jpegtables)))
    if photometric == tifffile.PHOTOMETRIC.YCBCR:
        tags.append((_SUBSAMPLING, _SHORT, tuple(page.tags.valueof(_SUBSAMPLING, (2, 2)))))
    with Image.open(io.BytesIO(small_tiff(tags, content))) as image:
        decoded = np.array(image.convert("L" if samples == 1 else "RGB"))
    return decoded if decoded.ndim == 3 else decoded[..., None]


def small_tiff(tags: Iterable[Tag], content: bytes) -> bytes:
    """Write a TIFF file of one strip.

    Args:
        tags: but for the offset of the strip.
        content: of the strip, encoded.
    """
    ordered = sorted([*tags, (_OFFSETS, _LONG, (0,))])
    place = 8 + 2 + 12 * len(ordered) + 4
    beyond = b""
    entries = b""
    length = sum(_room(tag) for tag in ordered)
    for number, kind, values in ordered:
        values = (place + length,) if number == _OFFSETS else values
        packed = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        if len(packed) > _INLINE:
            value = struct.pack("<I", place + len(beyond))
            beyond += packed + bytes(len(packed) % 2)
        else:
            value = packed.ljust(_INLINE, b"\0")
        entries += struct.pack("<HHI", number, kind, len(values)) + value
    return struct.pack("<2sHIH", b"II", 42, 8, len(ordered)) + entries + bytes(4) + beyond + content


def _room(tag: Tag) -> int:
    """Bytes that the values of a tag take beyond its entry."""
    length = _BYTES[tag[1]] * len(tag[2])
    return length + length % 2 if length > _INLINE else 0
