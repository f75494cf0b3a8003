"""Label maps: masks of any common form in, palette PNG out.

Shapes: H W pixels; V distinct values of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.masks.edge_repair import clean_values
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.masks.plain_png import plain_png
from vossegcli.io.masks.soft_edges import IndexedMask
from vossegcli.io.masks.stored_masks import StoredMask, read_stored_mask
from vossegcli.io.media.images import opened_image, size_text
from vossegcli.io.media.sequences import list_images
from vossegcli.io.records.atomic import atomic_path, write_bytes_atomic
from vossegcli.io.records.file_names import check_unique_stems
from vossegcli.types import LabelMap


class ValueIds(NamedTuple):
    """The id of each of V values.

    Attributes:
        ids: (V,) uint16.
        note: what a reader should know about them.
        numbered: whether they were made up.
        colors: (V,3) 8 bits, where the values are colours, shades or white, and no ids; else None.
    """

    ids: npt.NDArray[np.uint16]
    note: str | None
    numbered: bool = False
    colors: npt.NDArray[np.int64] | None = None


MANY_OBJECTS = 254
VOID = 255

_DIM_GREY = 32
_COMPRESSION = 4
_NOTED_COLORS = 8


def read_label_map(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    fix: bool = False,
    exact: bool = False,
    allow_empty: bool = False,
    repairable: bool = True,
) -> LabelMap:
    """Read a mask as object ids, keeping the ids of the file.

    * Palette images: the indices, or the colours where an editor ordered the palette (`read_indexed`). A transparent
      index is background. Grey images, 1 to 16 bits: the samples. If white (255, or 65535 in 16 bits)
      is the only value beside 0, it is object 1; in 8 bits, 255 beside other ids is void and becomes
      background. In 16 bits it is an id.
    * Cut-outs and black on transparent: the alpha channel. Other RGB(A): flat colours; ids of the DAVIS palette if
      all colours are in it, else numbered 1, 2, ... in the order of (R, G, B). Black and transparent pixels are
      background.
    * Grey levels of JPEG files, and of repaired images that contain white, are numbered like colours.

    Args:
        path: an image file.
        size: (H, W) of the frame that the mask belongs to; None = any.
        fix: snap anti-aliased pixels to their nearest flat colour and resize to `size` by nearest neighbour,
            instead of raising.
        exact: take every value as it is, whatever the edges look like.
        allow_empty: accept a mask without objects.
        repairable: the command has the options --fix-mask and --exact-mask; errors advise them.

    Returns:
        the label map; its note says what was interpreted or repaired.

    Raises:
        InputError: the file cannot be read, is anti-aliased, a photograph, of another size than its frame,
            or holds no object.
        ConfigError: both `fix` and `exact`.
    """
    if fix and exact:
        raise ConfigError("a mask is either repaired or taken as it is", fix="give one of --fix-mask and --exact-mask")
    stored = read_stored_mask(path)
    mask, shades, repairs = clean_values(path, stored, fix=fix, exact=exact, repairable=repairable)
    given = _ids_of_values(stored, mask, are_levels=stored.kind == "grey" and shades)
    notes = [stored.note, *repairs, given.note]
    ids_map = given.ids[mask.codes]
    if size is not None and ids_map.shape != size:
        if not fix or _is_turned(ids_map.shape, size):
            raise _size_error(path, ids_map.shape, size, repairable=repairable)
        notes.append(f"resized from {size_text(ids_map.shape)} to {size_text(size)}")
        ids_map = _resized_by_nearest(ids_map, size)
    found = _label_map(path, ids_map, notes, numbered=given.numbered, allow_empty=allow_empty)
    return replace(found, colors=_colors_of(found.ids, given)) if found.ids and given.colors is not None else found


def write_label_map(path: Path, ids_map: npt.NDArray[np.integer]) -> None:
    """Write ids as an 8-bit palette PNG with all 256 DAVIS colours, or as 16-bit grey PNG if one exceeds 255.

    A uint16 map that holds the id 255 is written with 16 bits too, for 255 in a palette means void.

    Args:
        path: the file to write, atomically; `.png`.
        ids_map: (H,W) integers 0..65535.

    Raises:
        ValueError: another shape, or an id out of range.
        InputError: the file cannot be written.
    """
    if ids_map.ndim != 2 or ids_map.size == 0 or ids_map.min() < 0 or ids_map.max() > 65535:
        raise ValueError(f"a label map is (H,W) with ids 0..65535, not {ids_map.shape} {ids_map.dtype}")
    largest_in_palette = 255 if ids_map.dtype == np.uint8 else 254
    if ids_map.max() <= largest_in_palette:
        write_bytes_atomic(path, plain_png(ids_map.astype(np.uint8, copy=False), PALETTE))
        return
    image = Image.fromarray(np.ascontiguousarray(ids_map, dtype=np.uint16))
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", compress_level=_COMPRESSION)


def read_mask_folder(folder: Path) -> dict[str, Path]:
    """List the masks of a folder, named like their frames.

    Args:
        folder: holds image files directly.

    Returns:
        path by stem, in natural order.

    Raises:
        InputError: no such folder, no image in it, or two with the same stem.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(what, where=folder, fix="give a folder of masks named like their frames")
    files = list_images(folder)
    if not files:
        fix = "put masks there that are named like their frames"
        raise InputError("holds no mask images", where=folder, fix=fix)
    check_unique_stems(files)
    return {path.stem: path for path in files}


def _ids_of_values(stored: StoredMask, mask: IndexedMask, *, are_levels: bool) -> ValueIds:
    """Give the id of each of the V values, and what a reader should know about it.

    Args:
        stored: the file that the values come from.
        mask: its values, repaired if they had to be.
        are_levels: grey values are shades, as in JPEG and smoothed images, and cannot be ids where white is
            among them.
    """
    if mask.values.shape[1] == 3:
        return ids_of_colors(mask.values)
    levels = mask.values[:, 0]
    ids = levels.astype(np.uint16)
    objects = levels[levels > 0].tolist()
    is_byte = stored.pixels.dtype == np.uint8  # in 16 bits, 255 is an id like any other
    for white in ({stored.white, VOID} if is_byte else {stored.white}) - {1}:
        if objects == [white]:
            return ValueIds(
                np.minimum(ids, 1).astype(np.uint16), f"0/{white} read as object 1", colors=np.full((len(ids), 3), VOID)
            )
    if are_levels and (stored.lossy or stored.white in objects):
        ids[levels > 0] = np.arange(1, len(objects) + 1)
        shades = np.repeat(mask.values * VOID // max(mask.white, VOID), 3, axis=1)
        return ValueIds(ids, "grey levels read as objects: " + _mapping(objects), numbered=True, colors=shades)
    if is_byte and objects and objects[-1] == VOID:
        ids[-1] = 0
        return ValueIds(ids, "255 read as void, that is background")
    return ValueIds(ids, None)


def ids_of_colors(colors: npt.NDArray[np.int64]) -> ValueIds:
    """Give the id of each of V colours (V,3) in ascending order; black is 0."""
    is_object = colors.any(axis=1)
    named = {tuple(color): row for row, color in enumerate(PALETTE.tolist()) if row}
    found = [named.get(tuple(color)) for color in colors[is_object].tolist()]
    ids = np.zeros(len(colors), dtype=np.uint16)
    if not found:
        return ValueIds(ids, None)
    if None not in found:
        ids[is_object] = [row for row in found if row is not None]
        if len(found) > 1 and VOID in found:
            ids[ids == VOID] = 0
            note = "colours read as ids of the DAVIS palette, 255 as void, that is background"
            return ValueIds(ids, note, colors=colors)
        return ValueIds(ids, "colours read as ids of the DAVIS palette", colors=colors)
    if colors.max() == 1:  # a mask of 0 and 1 that became RGB; some tools lose a channel at its edges
        ids[is_object] = 1
        return ValueIds(ids, "0 and 1 of an RGB image read as a mask")
    grey = (colors == colors[:, :1]).all()
    if grey and colors.max() <= _DIM_GREY:
        ids[:] = colors[:, 0]
        return ValueIds(ids, "grey levels of an RGB image read as ids")
    ids[is_object] = np.arange(1, len(found) + 1)
    objects = [tuple(color) for color in colors[is_object].tolist()]
    return ValueIds(ids, "colours read as objects: " + _mapping(objects), numbered=True, colors=colors)


def _colors_of(found: Sequence[int], given: ValueIds) -> tuple[tuple[int, int, int], ...]:
    """The colour of each id that was found."""
    by_id = dict(zip(given.ids.tolist(), given.colors.tolist() if given.colors is not None else [], strict=True))
    return tuple((red, green, blue) for red, green, blue in (by_id[number] for number in found))


def _mapping(objects: Sequence[object]) -> str:
    shown = [f"{value} = {row}" for row, value in enumerate(objects[:_NOTED_COLORS], start=1)]
    return ", ".join(shown) + (", ..." if len(objects) > _NOTED_COLORS else "")


def _label_map(
    path: Path, ids_map: npt.NDArray[np.uint16], notes: list[str | None], *, numbered: bool, allow_empty: bool
) -> LabelMap:
    ids = tuple(int(value) for value in np.flatnonzero(np.bincount(ids_map.ravel())) if value)
    if not ids and not allow_empty:
        raise InputError(
            "holds no object: every pixel is background",
            where=path,
            fix="give a mask with at least one object",
        )
    narrow = ids_map if ids and ids[-1] >= VOID else ids_map.astype(np.uint8)
    note = "; ".join(text for text in notes if text is not None)
    return LabelMap(narrow, ids, note or None, numbered)


def _resized_by_nearest(ids_map: npt.NDArray[np.uint16], size: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Take for each pixel of the new size (H, W) the old one under its centre."""
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, ids_map.shape, strict=True))
    resized: npt.NDArray[np.uint16] = ids_map[rows[:, None], columns[None, :]]
    return resized


def _is_turned(found: tuple[int, ...], wanted: tuple[int, int]) -> bool:
    return found[0] != found[1] and found == wanted[::-1]


def _size_error(path: Path, found: tuple[int, ...], wanted: tuple[int, int], *, repairable: bool) -> InputError:
    what = f"is {size_text(found)}, but its frame is {size_text(wanted)}"
    if _is_turned(found, wanted):
        return InputError(f"{what} (turned by 90 degrees?)", where=path, fix="turn the mask as its frame is")
    advice = ", or pass --fix-mask to resize it by nearest neighbour" if repairable else ""
    return InputError(what, where=path, fix=f"give a mask of the frame's size{advice}")


def read_written_ids(path: Path) -> npt.NDArray[np.integer]:
    """Read back a label map (H,W) that `write_label_map` wrote, value by value, without interpretation."""
    with opened_image(path) as image:
        return np.array(image)
