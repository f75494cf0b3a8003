"""Image files that stop before their end, seen without decoding them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from vossegcli.errors import InputError

_TAIL = 4096  # bytes; cameras and editors append a little
_GIF, _RIFF = b"GIF8", b"RIFF"
_GIF_END = b";"
_RIFF_HEADER = 8
#: First bytes of a kind of files, and the mark of their end.
_ENDS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND"))
_FEWEST_ZEROS = 16  # at the end of a file; the last samples of a picture may be some


def lacks_end(path: Path) -> bool:
    """Return True for a JPEG, PNG, GIF or WebP file without its end: it may be cut off, so decode it to know.

    Zeros after the last byte of others do not count: downloads and disks that broke off leave them.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_RIFF_HEADER)
        if head.startswith(_RIFF):
            return int.from_bytes(head[4:], "little") + _RIFF_HEADER > path.stat().st_size
        if head.startswith(_GIF):
            return not _tail(file).endswith(_GIF_END)
        end = next((end for signature, end in _ENDS if head.startswith(signature)), None)
        return end is not None and end not in _tail(file)


def check_end(path: Path) -> None:
    """Refuse a file that lacks its end and has zeros there: decoders take them for a picture.

    Raises:
        InputError: it is such a file.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _FEWEST_ZEROS))
            zeros = not file.read().strip(b"\0")
        cut = zeros and lacks_end(path)
    except OSError:
        return  # the decoder says what is wrong
    if cut:
        raise InputError("is cut off: there are zeros instead of its end", where=path, fix="copy or download it again")


def _tail(file: BinaryIO) -> bytes:
    """The last bytes of a file, those before the zeros at its end."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end > 0 and not tail:
        start = max(0, end - _TAIL)
        file.seek(start)
        tail = file.read(end - start).rstrip(b"\0")
        end = start + len(tail)
    file.seek(max(0, end - _TAIL))
    return file.read(min(end, _TAIL))
