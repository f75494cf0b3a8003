"""Image files that stop before their end, seen without decoding them."""

from __future__ import annotations

import os
from pathlib import Path

_TAIL = 4096  # bytes; cameras and editors append a little
_ENDS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND"))


def lacks_end(path: Path) -> bool:
    """Return True for a JPEG or PNG file without the mark of its end: it may be cut off, so decode it to know.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(8)
        end = next((end for signature, end in _ENDS if head.startswith(signature)), None)
        if end is None:
            return False
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return end not in file.read()
