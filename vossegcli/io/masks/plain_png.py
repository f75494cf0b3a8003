"""Plain label maps, read and written fast: 8-bit PNG files of one channel without filters, as most tools write them.

Evaluation reads thousands of them, and decoding is what it waits for. zlib-ng inflates them four times as fast as the
zlib in Pillow's PNG decoder, and there is nothing else to do. Any other file, and any damage, is Pillow's.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = 33
_GREY, _PALETTE = 0, 3
_NOT_PLAIN = frozenset({b"eXIf", b"acTL", b"tRNS"})  # a rotation, an animation, transparency
_MOST_PIXELS = 1 << 28


def plain_png(indices: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> bytes:
    """Give the content of a palette PNG.

    Runs of one index are all that is looked for: masks hardly hold anything else, and it takes a tenth of the time.

    Args:
        indices: (H,W).
        palette: (256,3) RGB; fewer colours would mean fewer bits an index.
    """
    height, width = indices.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each begins with the number of its filter, none
    rows[:, 1:] = indices
    deflater = zlib_ng.compressobj(1, zlib_ng.DEFLATED, zlib_ng.MAX_WBITS, 9, zlib_ng.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
    content = deflater.compress(rows) + deflater.flush()
    chunks = (b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", content), (b"IEND", b"")
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def read_plain_png(path: Path) -> npt.NDArray[np.uint8] | None:
    """Read palette indices or grey samples (H,W) as they are stored.

    Returns:
        None if the file is anything but a plain 8-bit PNG in good order.

    Raises:
        OSError: the file cannot be opened.
    """
    data = path.read_bytes()
    if len(data) < _HEADER_END or not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    depth, color_type, _, _, interlaced = data[24:29]
    if depth != 8 or color_type not in (_GREY, _PALETTE) or interlaced or not 0 < width * height <= _MOST_PIXELS:
        return None
    parts, position, kind = [], _HEADER_END, b""
    while kind != b"IEND":
        if position + 12 > len(data):
            return None
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if kind in _NOT_PLAIN or (kind == b"PLTE" and any(data[position + 8 : position + 11])):
            return None  # index 0 is not black: the palette may be an editor's
        if kind == b"IDAT":
            parts.append(data[position + 8 : position + 8 + length])
        position += 12 + length
    try:
        inflater = zlib_ng.decompressobj()
        raw = inflater.decompress(b"".join(parts), height * (width + 1))  # no more, whatever the file holds
    except zlib_ng.error:  # type: ignore[misc]  # an exception, but its stub does not say so
        return None
    if len(raw) != height * (width + 1) or not inflater.eof:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]
