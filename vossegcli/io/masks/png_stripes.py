"""PNG files of 16-bit grey, written some rows at a time: a map of a slide need not be in memory.

Shapes: H W pixels; h rows of them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

from vossegcli.io.records.atomic import atomic_path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH, _GREY, _UP = 16, 0, 2
_COMPRESSION = 4


def write_grey_stripes(path: Path, size: tuple[int, int], stripes: Iterable[npt.NDArray[np.uint16]]) -> None:
    """Write a 16-bit grey PNG.

    Args:
        path: the file to write, atomically; `.png`.
        size: (H,W).
        stripes: rows (h,W), from the top; together H.

    Raises:
        ValueError: the stripes do not fill the picture.
        InputError: the file cannot be written.
    """
    height, width = size
    deflater = zlib_ng.compressobj(_COMPRESSION, zlib_ng.DEFLATED, 15)
    above = np.zeros((1, 2 * width), np.uint8)
    written = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_SIGNATURE)
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, _DEPTH, _GREY, 0, 0, 0))
        for stripe in stripes:
            samples = stripe.astype(">u2").view(np.uint8).reshape(stripe.shape[0], 2 * width)
            # Each row as its difference to the one above: of masks, little is left.
            rows = np.empty((stripe.shape[0], 1 + 2 * width), np.uint8)
            rows[:, 0] = _UP
            np.subtract(samples, np.concatenate([above, samples[:-1]]), out=rows[:, 1:])
            above = samples[-1:]
            written += stripe.shape[0]
            _chunk(file, b"IDAT", deflater.compress(rows.tobytes()))
        _chunk(file, b"IDAT", deflater.flush())
        _chunk(file, b"IEND", b"")
        if written != height:
            raise ValueError(f"{written} rows instead of {height}")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    if content or kind != b"IDAT":
        file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))
