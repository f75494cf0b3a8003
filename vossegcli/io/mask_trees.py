"""Trees of masks, as evaluation reads them: which sequences there are, and the ids of a frame, fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.file_names import check_unique_stems, natural_key
from vossegcli.io.images import EXIF_ORIENTATION, opened_image
from vossegcli.io.label_maps import read_label_map
from vossegcli.io.plain_png import read_plain_png
from vossegcli.io.sequences import folder_name, list_images
from vossegcli.io.stored_masks import png_header

IdsMap = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
MaskSequences = Mapping[str, Mapping[str, Path]]

_ROOTS = ("Annotations/480p", "Annotations/Full-Resolution", "Annotations", "masks")
_GENERIC = frozenset({"masks", "mask", "annotations"})
_BYTE = 8
_MANY_IDS = 16


def find_mask_sequences(path: Path) -> dict[str, dict[str, Path]]:
    """Find the sequences of masks below a path.

    * A folder that holds images directly is one sequence, named like the folder, or the one above `masks`.
    * The root of a DAVIS, YouTube-VOS or Long-Video data set gives the folders of its `Annotations`, the output of
      a command those of its `masks`.
    * In any other folder, each subfolder at any depth that holds images is a sequence named by its POSIX path.

    Returns:
        sequence name -> frame name (file stem) -> file, both in natural order.

    Raises:
        InputError: no such folder, no images in it, or two masks of one frame.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise InputError(what, where=path, fix="give a folder of masks")
    if list_images(path):
        return {_sequence_name(path): _masks_of(path)}
    root = next((path / name for name in _ROOTS if (path / name).is_dir()), path)
    if list_images(root):
        return {_sequence_name(path): _masks_of(root)}
    folders = {f.relative_to(root).as_posix(): f for f in root.rglob("*") if f.is_dir() and _visible(f, root)}
    found = {name: _masks_of(folders[name]) for name in sorted(folders, key=natural_key) if list_images(folders[name])}
    if not found:
        raise InputError("holds no mask images", where=path, fix="give a folder of masks, or a root of such folders")
    return found


def _sequence_name(folder: Path) -> str:
    name = folder_name(folder)
    above = folder.resolve().parent.name
    return above if name.casefold() in _GENERIC and above else name


def _visible(folder: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in folder.relative_to(root).parts)


def _masks_of(folder: Path) -> dict[str, Path]:
    files = list_images(folder)
    check_unique_stems(files)
    return {file.stem: file for file in files}


def read_ids(path: Path) -> IdsMap:
    """Read the ids (H,W) of a mask, 255 as it is.

    The values of plain PNG label maps are taken as they are, without the inspection of `read_label_map`, which takes
    ten times as long; everything else goes there.

    Raises:
        InputError: the file cannot be read or is no mask.
    """
    plain = read_plain_png(path) if path.is_file() else None
    if plain is not None:
        return plain
    with opened_image(path) as image:
        if image.format == "PNG" and image.getexif().get(EXIF_ORIENTATION, 1) == 1 and _holds_ids(image, path):
            ids: IdsMap = np.asarray(image)
            return ids
    return read_label_map(path, allow_empty=True).ids_map


def _holds_ids(image: Image.Image, path: Path) -> bool:
    """Whether the samples are palette indices, or grey values that Pillow does not scale."""
    if image.mode == "P":
        return True
    return image.mode in {"L", "I;16"} and "transparency" not in image.info and png_header(path)[0] >= _BYTE


def check_is_mask(path: Path, ids: int) -> None:
    """Look closer at a mask with suspiciously many ids: is it anti-aliased, or a photograph?

    Raises:
        InputError: it is.
    """
    if ids > _MANY_IDS:
        read_label_map(path, allow_empty=True)


def read_names(path: Path) -> list[str]:
    """Read a list of sequences, one a line, as in the `ImageSets` of a data set.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=path, fix="give a text file of names") from error
    if not names:
        raise InputError("lists no sequence", where=path, fix="write one name a line")
    return names
