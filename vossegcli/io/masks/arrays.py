"""Masks in NumPy files: `.npy` and `.npz`.

Shapes: H W pixels; T frames; K objects.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_stacks import MaskStack, stack_names
from vossegcli.io.media.array_frames import ARRAY_SIGNATURE
from vossegcli.io.records.file_names import natural_key
from vossegcli.wording import counted

_LARGEST_ID = 65535
_MOST_LAYERS = 33  # an axis at the end that is shorter than this, and than the others, is no width
_FIX = "give (H,W) or (T,H,W) ids, (K,H,W) or (T,K,H,W) masks of 0 and 1, or one array a frame by its name"
_MASK_KEYS = ("masks", "mask", "labels", "label", "segmentation", "segmentations", "ids", "arr_0")

Array = npt.NDArray[Any]


def is_array_file(path: Path) -> bool:
    """Return True for a `.npy` file, or an archive of such files alone, unless it is called `.zip`."""
    try:
        with path.open("rb") as file:
            if file.read(len(ARRAY_SIGNATURE)) == ARRAY_SIGNATURE:
                return True
        if path.suffix.lower() == ".zip" or not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
    return bool(names) and all("/" not in name and name.endswith(".npy") for name in names)


def array_files(folder: Path) -> tuple[Path, ...]:
    """The arrays of a folder that holds one a frame and nothing else, in natural order; else none."""
    files = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if not files or not all(file.suffix.lower() == ".npy" and file.is_file() for file in files):
        return ()
    return tuple(sorted(files, key=lambda file: natural_key(file.name)))


def read_array_files(files: Sequence[Path]) -> MaskStack:
    """Read masks from NumPy files that are called like their frames.

    Raises:
        InputError: while they are read: one cannot be, or holds the masks of several frames.
    """
    stack = MaskStack(iter(()))

    def maps() -> Iterator[tuple[str | None, npt.NDArray[np.integer]]]:
        for file in files:
            own = read_arrays(file, (file.stem,))
            yield from ((file.stem, ids_map) for _, ids_map in own.maps)
            for note in own.notes:
                _note(stack.notes, note)

    stack.maps = maps()
    return stack


def read_arrays(path: Path, frames: Sequence[str] = ()) -> MaskStack:
    """Read masks from a NumPy file.

    * (H,W): ids of one frame. (T,H,W): ids, a map a frame.
    * (K,H,W) or (H,W,K) of 0 and 1, where the first is not the number of frames: an object each, of one frame.
    * (T,K,H,W) of 0 and 1: an object each, in every frame.
    * Several (H,W) arrays in one archive: a frame each, by their names.

    Args:
        path: the file.
        frames: names of the frames, if they are known.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        content = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        arrays = dict(content) if isinstance(content, np.lib.npyio.NpzFile) else {"": content}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"is no NumPy file of numbers ({error})", where=path, fix="save plain arrays") from error
    named = {name: array for name, array in arrays.items() if np.asarray(array).ndim == 2}
    if len(named) > 1 and not set(named) <= set(_MASK_KEYS):
        stack = MaskStack(iter(()))
        stack.maps = ((name, _ids(array, path, stack.notes)) for name, array in named.items())
        return stack
    return _stack_of(_only_array(arrays, path), path, frames)


def _only_array(arrays: dict[str, Array], path: Path) -> Array:
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    found = next((arrays[name] for name in _MASK_KEYS if name in arrays), None)
    if found is None:
        names = ", ".join(list(arrays)[:5]) or "nothing"
        raise InputError(f"holds several arrays ({names})", where=path, fix="call the one with the masks 'masks'")
    return found


def _stack_of(array: Array, path: Path, frames: Sequence[str]) -> MaskStack:
    if array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[0] != len(frames) and array.shape[2] < min(_MOST_LAYERS, *array.shape[:2]):
        if not _are_masks(array):
            raise InputError(f"is an array of shape {array.shape}: colours, not ids", where=path, fix=_FIX)
        array = np.moveaxis(array, 2, 0)
    stack = MaskStack(iter(()))
    if array.ndim == 2 or (array.ndim == 3 and array.shape[0] == 1):
        ids_map = _ids(array if array.ndim == 2 else array[0], path, stack.notes)
        stack.maps = iter([(None, ids_map)])
    elif array.ndim == 3 and _are_objects(array, frames):
        stack.notes.append(
            counted(array.shape[0], f"mask[|s] of one frame [was|were] read as objects 1 to {array.shape[0]}")
        )
        stack.maps = iter([(None, _stacked(array, path, stack.notes))])
    elif array.ndim == 3:
        names = stack_names(array.shape[0], frames, path)
        stack.maps = ((name, _ids(page, path, stack.notes)) for name, page in zip(names, array, strict=True))
    elif array.ndim == 4 and _are_masks(array):
        names = stack_names(array.shape[0], frames, path)
        stack.maps = ((name, _stacked(page, path, stack.notes)) for name, page in zip(names, array, strict=True))
    else:
        raise InputError(f"is an array of shape {array.shape} and type {array.dtype}", where=path, fix=_FIX)
    return stack


def _are_objects(array: Array, frames: Sequence[str]) -> bool:
    """Return True if the pages (N,H,W) are objects of one frame and not frames."""
    return bool(frames) and array.shape[0] != len(frames) and _are_masks(array)


def _are_masks(array: Array) -> bool:
    """Return True if there are no other values than 0 and 1."""
    return array.dtype == np.bool_ or all(bool(np.isin(page, (0, 1)).all()) for page in array)


def _stacked(masks: Array, path: Path, notes: list[str]) -> npt.NDArray[np.integer]:
    """Lay masks (K,H,W) over each other, later ones on top, with the ids 1 to K."""
    if masks.shape[0] > _LARGEST_ID:
        raise InputError(f"holds {counted(masks.shape[0], 'object[|s]')} in one frame", where=path, fix=_FIX)
    ids_map = np.zeros(masks.shape[1:], np.uint16 if masks.shape[0] > 254 else np.uint8)
    shared = np.zeros(masks.shape[1:], np.bool_)
    for number, mask in enumerate(masks, start=1):
        shared |= (mask > 0) & (ids_map > 0)
        ids_map[mask > 0] = number
    if shared.any():
        _note(notes, "pixels of several objects were given to the last of them")
    return ids_map


def _ids(array: Array, path: Path, notes: list[str]) -> npt.NDArray[np.integer]:
    """Take values (H,W) as ids; probabilities are cut at one half, and 255 alone is object 1."""
    values = np.asarray(array)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values) or values.size == 0:
        raise InputError(f"is an array of type {values.dtype}", where=path, fix=_FIX)
    if np.issubdtype(values.dtype, np.floating) and not (values == np.floor(values)).all():
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError("holds values that are no ids (whole numbers 0..65535)", where=path, fix=_FIX)
        _note(notes, "probabilities were cut at one half")
        return (values > 0.5).astype(np.uint8)
    if values.min() < 0 or values.max() > _LARGEST_ID:
        raise InputError(f"holds values from {values.min()} to {values.max()}", where=path, fix="give ids 0..65535")
    if values.dtype == np.uint8 and np.array_equal(np.unique(values), [0, 255]):
        _note(notes, "0/255 read as object 1")
        return (values > 0).astype(np.uint8)
    return values.astype(np.uint8 if values.max() <= 255 and values.dtype == np.uint8 else np.uint16)


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
