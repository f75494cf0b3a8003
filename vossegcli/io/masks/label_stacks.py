"""Label stacks as masks: a page of a TIFF, GIF or WebP file is the mask of a frame.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_stacks import MaskStack, stack_names
from vossegcli.io.media.images import opened_image
from vossegcli.io.media.stacks import StackFrames
from vossegcli.io.media.tiff_stacks import is_tiff

_MOST = np.iinfo(np.uint16).max
_VOID = 255


def read_label_stack(path: Path, frames: Sequence[str] = ()) -> MaskStack:
    """Read the pages of a label stack as ids.

    Integers of any width and whole numbers in floating point are ids. If 255 is the only value beside 0 in all
    pages, it is object 1; in 8 bits, 255 beside other ids is void and becomes background.

    Args:
        path: an image stack.
        frames: names of the frames that it belongs to, if they are known: a page each, from the first on.

    Raises:
        InputError: it cannot be read, leaves open which pages are its frames, holds more pages than there are frames,
            or values that are no ids.
    """
    reader = _open(path)
    names = stack_names(len(reader), frames, path)
    stack = MaskStack(iter(()), [f"{len(names)} masks were read from the pages of {path.name}", *reader.notes])
    if len(frames) > len(names):
        stack.notes.append(f"the stack of masks ends after {len(names)} of {len(frames)} frames")
    white = _white(path, reader)
    if white is not None:
        stack.notes.append(f"0/{white} read as object 1")
    stack.maps = _maps(path, reader, names, white)
    return stack


def count_masks(path: Path) -> int:
    """Count the masks of a label stack.

    Raises:
        InputError: as `read_label_stack`.
    """
    return len(_open(path))


def _open(path: Path) -> StackFrames:
    reader = StackFrames(path)
    try:
        _ = len(reader)  # which asks for the axis of the frames
    except InputError as error:  # options choose axes of frames, not of masks
        raise InputError(error.what, where=path, fix="save the masks as a stack with one axis of frames") from error
    return reader


def _maps(
    path: Path, reader: StackFrames, names: Sequence[str], white: int | None
) -> Iterator[tuple[str | None, npt.NDArray[np.integer]]]:
    for name, (ids, is_byte) in zip(names, _ids(path, reader), strict=True):
        if white is not None:
            yield name, (ids > 0).astype(np.uint8)
        elif is_byte:
            yield name, np.where(ids == _VOID, 0, ids).astype(np.uint8)
        else:
            yield name, ids


def _white(path: Path, reader: StackFrames) -> int | None:
    """Return the only value beside 0, if that is white."""
    found: set[int] = set()
    for ids, _ in _ids(path, reader):
        found |= set(np.unique(ids).tolist()) - {0}
        if len(found) > 1:
            return None
    white = found.pop() if found else 0
    return white if white in {_VOID, _MOST} else None


def _ids(path: Path, reader: StackFrames) -> Iterator[tuple[npt.NDArray[np.uint16], bool]]:
    """The ids of every page, and whether they are stored in 8 bits."""
    pages = reader.pages(range(len(reader))) if is_tiff(path) else _indices(path, len(reader))
    for number, page in enumerate(pages):
        if page.ndim != 2:
            what = f"page {number} holds colours"
            raise InputError(what, where=path, fix="save a label stack of one channel, or a folder of masks")
        exact = page.astype(np.float64)
        if not (np.isfinite(exact) & (exact >= 0) & (exact <= _MOST) & (exact == np.floor(exact))).all():
            what = f"page {number} holds values that are no ids (whole numbers 0..{_MOST})"
            raise InputError(what, where=path, fix="save it as an 8- or 16-bit label stack")
        yield page.astype(np.uint16), page.dtype.itemsize == 1


def _indices(path: Path, count: int) -> Iterator[npt.NDArray[Any]]:
    """Grey levels or palette indices of an animation; colours stay."""
    with opened_image(path) as image:
        for number in range(count):
            image.seek(number)
            yield np.array(image if image.mode in {"P", "L", "1", "I;16"} else _grey(image))


def _grey(image: Image.Image) -> Image.Image:
    """Give a picture whose colours are all grey as grey."""
    colors = np.array(image.convert("RGB"))
    same = (colors == colors[..., :1]).all()
    return Image.fromarray(colors[..., 0]) if same else image.convert("RGB")
