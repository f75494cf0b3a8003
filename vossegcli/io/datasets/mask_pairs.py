"""Images and masks that belong together in a folder: side by side, in two folders, or named as Cellpose names them.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.masks.cellpose import SEG_SUFFIX, read_cellpose_masks
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.shared_ids import WHITE
from vossegcli.io.masks.two_levels import cut_at_half
from vossegcli.io.media.contents import walk
from vossegcli.io.media.sequences import list_images
from vossegcli.io.media.stacks import is_stack
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, check_unique_stems, subfolder
from vossegcli.types import LabelMap

LAYOUTS = (
    "images/ and masks/ with files of the same names, <class>/<n>.jpg beside <class>/<n>.png, such pairs, or"
    " <n>.tif beside <n>_masks.tif"
)
MASK_SUFFIX = ".png"
IMAGES, MASKS = "images", "masks"
_MASK_ENDS = ("_masks", "_cp_masks", "_mask")  # the first that is there counts
_IMAGE_END = "_img"
_OTHER_ENDS = ("_flows", "_cp_outlines", "_outlines", "_cp_output", "_probs")  # what else Cellpose writes


class Pair(NamedTuple):
    """An image and the file of its mask."""

    image: Path
    mask: Path


def has_two_folders(folder: Path) -> bool:
    """Say whether a folder has `images/` and `masks/`."""
    return subfolder(folder, IMAGES).is_dir() and subfolder(folder, MASKS).is_dir()


def paired_folders(root: Path) -> Iterator[Path]:
    """Find the folders of a tree whose files are called like images and masks that belong together; none is opened."""
    for folder, _, files in walk(root):
        images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
        masks = {file.stem for file in images if file.suffix.lower() == MASK_SUFFIX}
        stems = {file.stem for file in images}
        beside = masks & {file.stem for file in images if file.suffix.lower() != MASK_SUFFIX}
        if has_two_folders(folder) or beside or any(_without_end(stem) in stems for stem in stems):
            yield folder


def part_of(folder: Path, subset: str | None, holds: Callable[[Path], bool] = has_two_folders) -> Path:
    """Return the part of a folder that has `train/` and others, else the folder itself.

    Args:
        folder: the folder.
        subset: `train` or `val`; None = do not look.
        holds: says whether a folder holds what is looked for.
    """
    names = {"train": ("train",), "val": ("val", "valid", "test")}.get(subset or "", ())
    return next((part for name in names if holds(part := subfolder(folder, name))), folder)


def find_pairs(folder: Path) -> list[Pair]:
    """Find the images and masks of a folder, not of its subfolders.

    * `images/` and `masks/`: files of the same stem.
    * Cellpose: `<n>.tif` or `<n>_img.tif` beside `<n>_masks.tif`, `<n>_cp_masks.png`, `<n>_mask.png` or `<n>_seg.npy`.
    * Side by side: `<n>.jpg` and `<n>.png`.

    Returns:
        pairs in natural order; empty where there are no image files.

    Raises:
        InputError: an image or a mask stands alone, two have one name, or all are PNG files of different names.
    """
    if has_two_folders(folder):
        return _same_stems(list_images(subfolder(folder, IMAGES)), list_images(subfolder(folder, MASKS)))
    files = list_images(folder)
    named = _named_by_ends(folder, files)
    if named:
        return named
    masks = tuple(file for file in files if file.suffix.lower() == MASK_SUFFIX)
    images = tuple(file for file in files if file.suffix.lower() != MASK_SUFFIX)
    if masks and not images:
        what, fix = "holds PNG files alone: which of them are masks?", "put images into images/ and masks into masks/"
        raise InputError(what, where=folder, fix=fix)
    return _same_stems(images, masks)


def common_names(
    ours: Mapping[str, Path], theirs: Mapping[str, Path], where: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Name label maps of two folders alike: Cellpose writes `<image>_cp_masks.png`, perhaps beside the image.

    Args:
        ours: predicted maps by path without suffix.
        theirs: true ones.
        where: folder of the true ones, for messages.

    Raises:
        InputError: nothing has the same name.
    """
    beside = any(_without_end(name) in names for names in (ours, theirs) for name in names)
    if beside or not set(ours) & set(theirs):
        ours, theirs = _without_ends(ours), _without_ends(theirs)
    if not set(ours) & set(theirs):
        what = f"holds {next(iter(theirs))}, ..., the prediction {next(iter(ours))}, ...: none is in both"
        raise InputError(what, where=where, fix="name predicted label maps like the true ones")
    return dict(ours), dict(theirs)


def _without_ends(maps: Mapping[str, Path]) -> dict[str, Path]:
    """The maps by the names of their images; a file that has such a mask is the image itself."""
    masks = {_without_end(name): path for name, path in maps.items() if _without_end(name)}
    return {**{name: path for name, path in maps.items() if not _without_end(name)}, **masks}


def _without_end(name: str) -> str:
    """The name of a mask's image; "" where the name is not that of a mask."""
    ends = sorted(_MASK_ENDS, key=len, reverse=True)
    return next((name.removesuffix(end) for end in ends if name.endswith(end)), "")


def read_ids(path: Path, *, allow_empty: bool = False) -> npt.NDArray[np.integer]:
    """Read the ids of a mask (H,W); one of two levels with soft edges is object 1.

    Args:
        path: an image, or Cellpose's `_seg.npy`.
        allow_empty: accept a mask without objects.

    Raises:
        InputError: it cannot be read.
    """
    return read_mask_of_pair(path, allow_empty=allow_empty).ids_map


def read_mask_of_pair(path: Path, *, allow_empty: bool = False) -> LabelMap:
    """Read a mask as `read_ids` does, with what is known about its ids.

    Raises:
        InputError: it cannot be read.
    """
    if path.name.endswith(SEG_SUFFIX):
        ids_map = read_cellpose_masks(path)
        return LabelMap(ids_map, tuple(i for i in np.unique(ids_map).tolist() if i))
    try:
        return read_label_map(path, repairable=False, allow_empty=allow_empty)
    except InputError:
        cut = cut_at_half(path)
        if cut is None or not (allow_empty or cut.any()):
            raise
        return LabelMap(cut.astype(np.uint8), (1,) if cut.any() else (), colors=(WHITE,) if cut.any() else ())


def read_covered(path: Path) -> npt.NDArray[np.bool_]:
    """Read where a mask (H,W) has any object; which one does not matter, so soft edges do no harm.

    Raises:
        InputError: it cannot be read, or holds no object.
    """
    covered: npt.NDArray[np.bool_]
    try:
        covered = read_ids(path) > 0
    except InputError:
        covered = read_label_map(path, fix=True, repairable=False).ids_map > 0
    return covered


def _named_by_ends(folder: Path, files: Sequence[Path]) -> list[Pair]:
    """Pairs as Cellpose names them; none where no mask is named so."""
    stems = {file.stem for file in files}
    arrays = sorted(folder.glob(f"*{SEG_SUFFIX}"))
    masks = {file: base for file in files for base in _bases(file.stem, stems)}
    masks |= {file: base for file in arrays for base in _owners(file.name.removesuffix(SEG_SUFFIX), stems)}
    if not masks:
        return []
    images = tuple(file for file in files if file not in masks and not _is_other(file.stem, stems))
    check_unique_stems(images)
    by_image: dict[str, list[Path]] = {}
    for file, base in masks.items():
        by_image.setdefault(base, []).append(file)
    alone = [file for file in images if file.stem not in by_image]
    if alone:
        wanted = f"{alone[0].stem.removesuffix(_IMAGE_END)}{_MASK_ENDS[0]}"
        raise InputError(f"has no mask '{wanted}'", where=alone[0], fix="add the mask or remove the image")
    return [_pair(file, min(by_image[file.stem], key=_rank)) for file in images]


def _bases(stem: str, stems: set[str]) -> list[str]:
    """The stem of the image that a mask belongs to by its name."""
    return [base for end in _MASK_ENDS if stem.endswith(end) for base in _owners(stem.removesuffix(end), stems)][:1]


def _owners(base: str, stems: set[str]) -> list[str]:
    return [name for name in (base, base + _IMAGE_END) if name in stems][:1]


def _is_other(stem: str, stems: set[str]) -> bool:
    return any(stem.endswith(end) and _owners(stem.removesuffix(end), stems) for end in _OTHER_ENDS)


def _rank(mask: Path) -> int:
    """Place of a mask among several of one image."""
    return next((n for n, end in enumerate(_MASK_ENDS) if mask.stem.endswith(end)), len(_MASK_ENDS))


def _same_stems(images: tuple[Path, ...], masks: tuple[Path, ...]) -> list[Pair]:
    check_unique_stems(images)
    check_unique_stems(masks)
    by_stem = {file.stem: file for file in masks}
    for file in images:
        if file.stem not in by_stem:
            raise InputError("has no mask of the same name", where=file, fix="add the mask or remove the image")
    names = {file.stem for file in images}
    for file in masks:
        if file.stem not in names:
            raise InputError("has no image of the same name", where=file, fix="add the image or remove the mask")
    return [_pair(file, by_stem[file.stem]) for file in images]


def _pair(image: Path, mask: Path) -> Pair:
    for file in (image, mask):
        if not file.name.endswith(SEG_SUFFIX) and is_stack(file):
            fix = "save each plane as a file of its own, channels as RGB"
            raise InputError("holds several pages, where one image is needed", where=file, fix=fix)
    return Pair(image, mask)
