"""Label stacks as masks: a page of a TIFF, GIF, PNG or WebP file is the mask of a frame.

Shapes: H W pixels; V flat colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_stacks import MaskStack, stack_names
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.media.images import opened_image, rgb_over_black
from vossegcli.io.media.stacks import StackFrames
from vossegcli.io.media.tiff_stacks import is_tiff
from vossegcli.wording import counted

_MOST = np.iinfo(np.uint16).max
_VOID = 255
_MOST_COLORS = 256

Page = npt.NDArray[Any]


@dataclass(frozen=True)
class _Meaning:
    """Meaning of the values of all pages.

    Attributes:
        white: the only value beside 0, if that is white, else None.
        colors: (V,) colours as numbers, ascending, and (V,) their ids, where there are colours; else None.
        note: what was interpreted, or None.
    """

    white: int | None = None
    colors: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]] | None = None
    note: str | None = None


def read_label_stack(path: Path, frames: Sequence[str] = ()) -> MaskStack:
    """Read the pages of a label stack as ids.

    Integers of any width and whole numbers in floating point are ids. If 255 is the only value beside 0 in all
    pages, it is object 1; in 8 bits, 255 beside other ids is void and becomes background. Flat colours are ids of the
    DAVIS palette if all are in it, else indices of the palette of the first page, else numbered in the order of
    (R, G, B); one table counts for all pages.

    Args:
        path: an image stack.
        frames: names of the frames that it belongs to, if they are known: a page each, from the first on.

    Raises:
        InputError: it cannot be read, leaves open which pages are its frames, holds more pages than there are frames,
            or values that are no ids.
    """
    reader = _open(path)
    names = stack_names(len(reader), frames, path)
    stack = MaskStack(
        iter(()), [counted(len(names), f"mask[|s] [was|were] read from the pages of {path.name}"), *reader.notes]
    )
    if len(frames) > len(names):
        stack.notes.append(f"the stack of masks ends after {len(names)} of {len(frames)} frames")
    meaning = _meaning(path, reader)
    stack.notes += [] if meaning.note is None else [meaning.note]
    pages = (_ids_of(page, meaning, number, path) for number, page in enumerate(_pages(path, reader)))
    stack.maps = zip(names, pages, strict=True)
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


def _pages(path: Path, reader: StackFrames) -> Iterator[Page]:
    """Every page, as values (H,W) or colours (H,W,3)."""
    if is_tiff(path):
        yield from reader.pages(range(len(reader)))
        return
    with opened_image(path) as image:
        for number in range(len(reader)):
            image.seek(number)
            yield np.array(image) if image.mode in {"L", "1", "I;16"} else _without_colors(rgb_over_black(image))


def _without_colors(rgb: Page) -> Page:
    """Give a picture whose colours are all grey as grey."""
    return rgb[..., 0] if (rgb == rgb[..., :1]).all() else rgb


def _meaning(path: Path, reader: StackFrames) -> _Meaning:
    """Look at all pages: what is their only value, or which colours do they have?"""
    palette = _palette(path)
    values: set[int] = set()
    keys: set[int] = set()
    colored = palette is not None
    for number, page in enumerate(_pages(path, reader)):
        colored = colored or page.ndim == 3
        if colored and page.dtype != np.uint8:
            fix = "save a label stack of one channel, or a folder of masks"
            raise InputError(f"page {number} holds colours of more than 8 bits", where=path, fix=fix)
        if page.dtype == np.uint8:
            keys |= set(np.unique(_keys(page)).tolist())
        if colored and len(keys) > _MOST_COLORS:
            fix = "save a label stack of one channel, or a folder of masks"
            raise InputError(f"holds more than {_MOST_COLORS} colours: pictures, not masks", where=path, fix=fix)
        if not colored and len(values) <= 1:
            values |= set(np.unique(_whole(page, number, path)).tolist()) - {0}
    if colored:
        return _meaning_of_colors(np.array(sorted(keys), np.int64), palette)
    white = int(values.pop()) if len(values) == 1 else 0
    return _Meaning(white, note=f"0/{white} read as object 1") if white in {_VOID, _MOST} else _Meaning()


def _meaning_of_colors(keys: npt.NDArray[np.int64], palette: Page | None) -> _Meaning:
    """Number the colours of all pages; black is background.

    Args:
        keys: (V,) ascending.
        palette: (N,3) of the first page, or None.
    """
    shown = keys[keys > 0]
    ids = np.zeros(len(keys), np.uint16)
    for colors, what in ((PALETTE, "the DAVIS palette"), (palette, "the first page's palette")):
        if colors is None:
            continue
        known = _keys(np.asarray(colors)[None])[0].tolist()
        if set(shown.tolist()) <= set(known):
            ids[keys > 0] = [known.index(key) for key in shown.tolist()]
            ids[ids == _VOID] = 1 if len(shown) == 1 else 0
            return _Meaning(None, (keys, ids), f"colours read as ids of {what}")
    ids[keys > 0] = np.arange(1, len(shown) + 1)
    named = [f"{(key >> 16, key >> 8 & 255, key & 255)} = {number}" for number, key in enumerate(shown.tolist(), 1)]
    return _Meaning(None, (keys, ids), "colours read as objects: " + ", ".join(named[:8]))


def _palette(path: Path) -> Page | None:
    """The palette (N,3) of the first page of an animation, or None."""
    if is_tiff(path):
        return None
    with opened_image(path) as image:
        return None if image.mode != "P" else np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)


def _keys(page: Page) -> npt.NDArray[np.int64]:
    """Colours (H,W,3), or grey levels (H,W), as one number each."""
    red, green, blue = np.moveaxis(page.astype(np.int64), -1, 0) if page.ndim == 3 else [page.astype(np.int64)] * 3
    keys: npt.NDArray[np.int64] = red << 16 | green << 8 | blue
    return keys


def _ids_of(page: Page, meaning: _Meaning, number: int, path: Path) -> npt.NDArray[np.integer]:
    """The ids (H,W) of a page."""
    if meaning.colors is not None:
        keys, table = meaning.colors
        ids: npt.NDArray[np.uint16] = table[np.searchsorted(keys, _keys(page))]
        return ids if ids.max() > _VOID else ids.astype(np.uint8)
    whole = _whole(page, number, path)
    if meaning.white is not None:
        return (whole > 0).astype(np.uint8)
    if page.dtype.itemsize == 1:
        return np.where(whole == _VOID, 0, whole).astype(np.uint8)
    return whole


def _whole(page: Page, number: int, path: Path) -> npt.NDArray[np.uint16]:
    """The values (H,W) of a page, as whole numbers.

    Raises:
        InputError: some are no ids.
    """
    exact = page.astype(np.float64)
    if not (np.isfinite(exact) & (exact >= 0) & (exact <= _MOST) & (exact == np.floor(exact))).all():
        what = f"page {number} holds values that are no ids (whole numbers 0..{_MOST})"
        raise InputError(what, where=path, fix="save it as an 8- or 16-bit label stack")
    return page.astype(np.uint16)
