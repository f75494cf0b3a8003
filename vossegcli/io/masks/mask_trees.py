"""Trees of masks, as evaluation reads them: which sequences there are, and the ids of a frame, fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.masks.indexed_images import is_plain_palette
from vossegcli.io.masks.label_maps import MANY_OBJECTS, VOID, read_label_map
from vossegcli.io.masks.plain_png import read_plain_png
from vossegcli.io.masks.stored_masks import png_header, read_stored_mask
from vossegcli.io.media.contents import files_below, walk
from vossegcli.io.media.images import opened_image
from vossegcli.io.media.orientation import orientation_of
from vossegcli.io.media.sequences import folder_name, list_images
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, check_unique_stems, is_called, natural_key, subfolder
from vossegcli.io.records.name_lists import read_names

IdsMap = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Mask = npt.NDArray[np.bool_]
MaskSequences = Mapping[str, Mapping[str, Path]]

_ROOTS = (("Annotations", "480p"), ("Annotations", "Full-Resolution"), ("Annotations",), ("masks",))
LABEL_MAP_SUFFIXES = frozenset({".png", ".tif", ".tiff"})
_GENERIC = frozenset({"masks", "mask", "annotations"})
_BYTE = 8
_PNG_PALETTE = 3
_MANY_IDS = 16


def find_mask_sequences(path: Path) -> dict[str, dict[str, Path]]:
    """Find the sequences of masks below a path.

    * A folder that holds images directly is one sequence, named like the folder, or the one above `masks`.
    * The root of a DAVIS, YouTube-VOS or Long-Video data set gives the folders of its `Annotations`, the output of
      a command those of its `masks`.
    * In any other folder, each subfolder at any depth that holds images is a sequence named by its POSIX path; of
      `<video>/frames` and `<video>/masks`, the latter.

    Returns:
        sequence name -> frame name (file stem) -> file, both in natural order.

    Raises:
        InputError: no such folder, no images in it, or two masks of one frame.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise InputError(what, where=path, fix="give a folder of masks")
    root = root_of_masks(path)
    own = _masks_of(path) or _masks_of(root)
    if own:
        return {sequence_name(path): own}
    folders = {folder.relative_to(root).as_posix(): folder for folder in _folders_below(root)}
    listed = ((name, _masks_of(folders[name])) for name in sorted(folders, key=natural_key))
    found = {name: masks for name, masks in listed if masks}
    if not found:
        raise InputError("holds no mask images", where=path, fix="give a folder of masks, or a root of such folders")
    return found


def root_of_masks(path: Path) -> Path:
    """Return the folder of the masks of a data set's root or a run's output, else the folder itself."""
    return next((root for names in _ROOTS if (root := subfolder(path, *names)).is_dir()), path)


def find_label_maps(folder: Path) -> dict[str, Path]:
    """Find the label maps of a tree, or of its folder `masks` as a command writes it.

    Returns:
        path below the folder without suffix (POSIX) -> file, in natural order.

    Raises:
        InputError: there are none.
    """
    below = subfolder(folder, "masks")
    root = below if below.is_dir() else folder
    files = (path for path in files_below(root) if path.suffix.lower() in LABEL_MAP_SUFFIXES)
    found = {path.relative_to(root).with_suffix("").as_posix(): path for path in files}
    if not found:
        raise InputError("holds no label maps", where=folder, fix="give a folder of PNG or TIFF label maps")
    return dict(sorted(found.items(), key=lambda row: natural_key(row[0])))


def sequence_name(path: Path) -> str:
    """Name the sequence that a folder or a file of masks is: by itself, or by the folder above `masks`."""
    name = folder_name(path) if path.is_dir() else path.stem
    above = path.resolve().parent.name
    return above if name.casefold() in _GENERIC and above else name


def _folders_below(root: Path) -> Iterator[Path]:
    """All folders of a tree; of `<video>/frames` and `<video>/masks`, the latter."""
    for folder, _, _ in walk(root):
        of_frames = is_called(folder.name, "frames") and subfolder(folder.parent, "masks").is_dir()
        if folder != root and not of_frames:
            yield folder


def _masks_of(folder: Path) -> dict[str, Path]:
    files = list_images(folder)
    check_unique_stems(files)
    return {file.stem: file for file in files}


@dataclass(frozen=True)
class Encoding:
    """Meaning of the values of a sequence's masks; one for all its files.

    Attributes:
        white: the value that is object 1 in a sequence of black and white masks, or None.
        inspected: whether every file must be looked at closely, as some look smoothed.
    """

    white: int | None = None
    inspected: bool = False


def encoding_of(files: Iterable[Path]) -> Encoding:
    """Find out what the masks of a sequence are, from the first that holds an object.

    Only where that is black and white are the others looked at: with any other value among them, 255 is void.
    """
    listed = list(files)
    for number, file in enumerate(listed):
        values, white = _values(file)
        if len(values) > 1 and png_header(file)[1] != _PNG_PALETTE:
            return Encoding(inspected=not _is_flat(file))
        if values:
            if values != {white}:
                return Encoding()
            odd = next((other for other in listed[number + 1 :] if not _values(other)[0] <= {white}), None)
            if odd is None:
                return Encoding(white)
            return Encoding(inspected=png_header(odd)[1] != _PNG_PALETTE and not _is_flat(odd))
    return Encoding()


def _values(file: Path) -> tuple[set[int], int]:
    """The values above 0 of a mask (none where it cannot be read, which is said when its turn comes), and white.

    White is 255 in 8 bits alone: 16 bits are used where 255 is the id of an object.
    """
    try:
        ids_map, _ = _read_values(file, inspected=False)
    except InputError:
        return set(), VOID
    return set(_distinct(ids_map).tolist()) - {0}, int(np.iinfo(ids_map.dtype).max)


def _is_flat(file: Path) -> bool:
    try:
        read_label_map(file, allow_empty=True, repairable=False)
    except InputError:
        return False
    return True


class TreeMask(NamedTuple):
    """A mask of a sequence.

    Attributes:
        ids_map: (H,W).
        void: the pixels (H,W) that are void, or None.
        note: what was interpreted beside void, or None.
    """

    ids_map: IdsMap
    void: Mask | None = None
    note: str | None = None


def read_mask(path: Path, encoding: Encoding) -> TreeMask:
    """Read a mask of a sequence.

    The values of PNG label maps are taken as they are, without the inspection of `read_label_map`, which takes ten
    times as long, unless the encoding asks for it or the mask holds suspiciously many ids.

    Raises:
        InputError: the file cannot be read, is no mask, or holds colours that are not those of the DAVIS palette.
    """
    ids_map, note = _read_values(path, inspected=encoding.inspected)
    if encoding.white is not None:
        is_object = ids_map == encoding.white
        return TreeMask(is_object.astype(np.uint8), None, f"0/{encoding.white} read as object 1")
    if ids_map.dtype != np.uint8:
        return TreeMask(ids_map, None, note)
    return TreeMask(ids_map, ids_map == VOID if ids_map.max() == VOID else None, note)


def _read_values(path: Path, *, inspected: bool) -> tuple[IdsMap, str | None]:
    """Read the values of a mask, and what was interpreted."""
    plain: IdsMap | None
    try:
        plain = None if inspected else read_plain_png(path)
    except OSError:
        plain = None  # Pillow says what is wrong
    if plain is None and not inspected:
        with opened_image(path) as image:
            if image.format == "PNG" and orientation_of(image) == 1 and _holds_ids(image, path):
                plain = np.asarray(image)
        if plain is None:
            stored = read_stored_mask(path)
            plain = stored.pixels if stored.kind == "palette" else None
    if plain is not None and (plain.dtype == np.uint8 or _few_values(plain)):
        return plain, None
    label_map = read_label_map(path, allow_empty=True, repairable=False)
    if label_map.numbered and len(label_map.ids) > 1:
        raise InputError(
            "holds colours or shades that are no ids: from frame to frame they could mean different objects",
            where=path,
            fix="write palette indices, or colours of the DAVIS palette",
        )
    return label_map.ids_map, label_map.note


def _few_values(ids_map: IdsMap) -> bool:
    return _distinct(ids_map).size <= MANY_OBJECTS + 1


def _distinct(ids_map: IdsMap) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.bincount(ids_map.ravel()))


def _holds_ids(image: Image.Image, path: Path) -> bool:
    """Return True if the samples are palette indices, or grey values that Pillow does not scale."""
    if image.mode == "P":
        return is_plain_palette(image)
    return image.mode in {"L", "I;16"} and "transparency" not in image.info and png_header(path)[0] >= _BYTE


def check_is_mask(path: Path, ids_map: IdsMap) -> None:
    """Look closer at a mask (H,W) with suspiciously many ids: is it smoothed, or a photograph?

    Raises:
        InputError: it is.
    """
    if ids_map.max() > _MANY_IDS and np.count_nonzero(_distinct(ids_map)) > _MANY_IDS:
        read_label_map(path, allow_empty=True, repairable=False)


def find_sequence_list(roots: Iterable[Path], name: str, year: str = "2017") -> Path | None:
    """Find a list of sequences in the `ImageSets` of data sets, that of a year of DAVIS first; None = there is none."""
    lists = (path for root in roots for path in _lists_of(root) if path.stem == name)
    return min(lists, key=lambda path: (year not in path.parts, path), default=None)


def _lists_of(root: Path) -> list[Path]:
    """The text files in the `ImageSets` of a data set."""
    folder = subfolder(root, "ImageSets")
    return [path for path in files_below(folder) if path.suffix == ".txt"] if folder.is_dir() else []


def read_sequence_names(path: Path) -> list[str]:
    """Read a list of sequences, one per line, as in the `ImageSets` of a data set.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    return list(dict.fromkeys(map(_listed_name, read_names(path))))


def _listed_name(line: str) -> str:
    """Name the sequence of a line: DAVIS 2016 lists its files (`/JPEGImages/480p/bear/0.jpg ...`), others its name."""
    first = PurePosixPath(line.split()[0])
    return first.parent.name if first.suffix.lower() in IMAGE_SUFFIXES else line
