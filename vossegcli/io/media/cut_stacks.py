"""Image stacks that are cut off, as downloads and copies that broke off are: the pages that are there.

Shapes: H W pixels.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import tifffile

from vossegcli.io.media.endings import lacks_end
from vossegcli.io.media.images import opened_image
from vossegcli.wording import counted


@dataclass(frozen=True)
class CutStack:
    """Pages that are whole in a file that is cut off.

    Attributes:
        count: number of them, from the first on.
        announced: number of pages that the file says it has, or None.
        offset: of the first page, in bytes, where all lie in one block of samples, else None.
    """

    count: int
    announced: int | None
    offset: int | None = None

    @property
    def note(self) -> str:
        """A sentence that says so."""
        whole = self.announced is None or self.announced <= self.count
        what = "frame[|s]" if whole else f"of {self.announced} frames"
        return f"ends after {counted(self.count, what)}: the file is cut off"


def cut_tiff(file: tifffile.TiffFile, path: Path) -> CutStack | None:
    """Find out whether a TIFF file lacks pages.

    Returns:
        None if it is whole, or holds one page.
    """
    size = path.stat().st_size
    pages = file.pages
    first = pages.first
    following = _next_page(file)
    length = first.nbytes if first.compression == tifffile.COMPRESSION.NONE and first.dataoffsets else 0
    announced = _announced(file)
    plain = length and len(first.dataoffsets) == 1
    if plain and len(pages) == 1 and (announced or 0) * length + first.dataoffsets[0] > size:
        return CutStack((size - first.dataoffsets[0]) // length, announced, first.dataoffsets[0])
    if following < size:
        return None
    block = (following - first.dataoffsets[0]) // length if plain and len(pages) == 1 else 0
    if block > 1:  # the samples of all pages come before the second page
        return CutStack((size - first.dataoffsets[0]) // length, announced or block, first.dataoffsets[0])
    whole = 0
    for page in pages:
        places = zip(page.dataoffsets, page.databytecounts, strict=True)
        if max((offset + count for offset, count in places), default=0) > size or page.shape != first.shape:
            break
        whole += 1
    return CutStack(whole, announced)


def cut_animation(path: Path) -> CutStack | None:
    """Find out whether a GIF, PNG or WebP file lacks frames; None if it is whole."""
    if not lacks_end(path):
        return None
    with opened_image(path) as image:
        announced = int(getattr(image, "n_frames", 1)) if image.format == "PNG" else None
        count = 0
        try:
            while True:
                image.seek(count)
                image.load()
                count += 1
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error):
            return CutStack(count, announced)


def _next_page(file: tifffile.TiffFile) -> int:
    """Offset of the page after the last that was found, 0 where there is none."""
    place = file.pages.next_page_offset
    if not place:
        return 0
    handle = file.filehandle
    handle.seek(place)
    stored = handle.read(file.tiff.offsetsize)
    return int(struct.unpack(file.tiff.offsetformat, stored)[0]) if len(stored) == file.tiff.offsetsize else 0


def _announced(file: tifffile.TiffFile) -> int | None:
    """Number of pages that the first page's description speaks of, as ImageJ and tifffile write it."""
    first = file.pages.first
    if file.is_imagej:
        return int((file.imagej_metadata or {}).get("images", 1))
    try:
        shape = json.loads(first.description)["shape"]
        return int(max(1, math.prod(shape) // math.prod(first.shape)))
    except (ValueError, KeyError, TypeError):
        return None
