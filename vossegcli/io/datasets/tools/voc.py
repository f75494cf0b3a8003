"""Pascal VOC and CVAT's segmentation masks: `SegmentationObject` and `SegmentationClass`, label maps a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.datasets.shapes import Annotations, Shape, ShapedImage, encode
from vossegcli.io.masks.label_maps import VOID, read_label_map
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.media.contents import files_below
from vossegcli.io.media.images import opened_image
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, natural_key
from vossegcli.wording import counted

TOOL = "Pascal VOC"
OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"
_ROOTS = (".", "VOC2012", "VOCdevkit/VOC2012", "VOCdevkit/VOC2007")
_BACKGROUND = frozenset({"background", "void", "_background_", "ignore"})

#: The classes of PASCAL VOC by their ids in the label maps, from 1.
PASCAL_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

Color = tuple[int, ...]


def voc_root(path: Path) -> Path | None:
    """The folder that holds the masks, below a path or around it; None if there is none."""
    if path.is_dir() and path.name in {OBJECTS, CLASSES}:
        return path.parent
    return next((r for root in _ROOTS for r in [path / root] if (r / OBJECTS).is_dir() or (r / CLASSES).is_dir()), None)


def read_voc(path: Path, subset: str | None = None) -> Annotations:
    """Read the objects of `SegmentationObject`, their classes from `SegmentationClass`.

    Names of classes come from `labelmap.txt` (CVAT), else PASCAL's by their colours. Without `SegmentationObject`, the
    pixels of a class are one object. Void (255) is left out. The numbers of the objects are kept.

    Args:
        path: the folder that holds the two, or one of the two.
        subset: name of a list in `ImageSets/Segmentation`, which is used if it is there.

    Raises:
        InputError: a mask cannot be read, or there are none.
    """
    root = voc_root(path)
    if root is None:
        raise InputError(f"holds no {OBJECTS} and no {CLASSES}", where=path, fix="give the folder that holds them")
    folder = root / (OBJECTS if (root / OBJECTS).is_dir() else CLASSES)
    files = [file for file in files_below(folder) if file.suffix.lower() in IMAGE_SUFFIXES]
    files.sort(key=lambda file: natural_key(file.as_posix()))
    files, notes = _listed(root, folder, files, subset)
    if not files:
        raise InputError("holds no masks", where=folder, fix="give a folder with masks")
    colors = read_labelmap(root / "labelmap.txt")
    by_id = folder.name == OBJECTS
    images = tuple(_image(root, folder, file, colors, by_id=by_id) for file in files)
    if by_id and len(images) > 1 and (root / "labelmap.txt").is_file():
        notes = (*notes, "objects were numbered anew in each frame: number 1 may be another object in the next frame")
    return Annotations(TOOL, path, images, tuple(dict.fromkeys(colors.values())), notes)


def read_labelmap(path: Path) -> dict[Color, str]:
    """Read CVAT's list of classes: names by colour, without background; PASCAL's where there is no list.

    Raises:
        InputError: a line is malformed.
    """
    if not path.is_file():
        return {tuple(PALETTE[number].tolist()): name for number, name in enumerate(PASCAL_CLASSES, start=1)}
    found: dict[Color, str] = {}
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        try:
            color = tuple(int(level) for level in rest.split(":")[0].split(","))
        except ValueError as error:
            raise InputError(f"has the line {line!r:.60}", where=path, fix="write label:red,green,blue::") from error
        if name.strip().lower() not in _BACKGROUND and any(color):
            found[color] = name.strip()
    return found


def _listed(root: Path, folder: Path, files: Sequence[Path], subset: str | None) -> tuple[list[Path], tuple[str, ...]]:
    """The files of a subset, where its list is there."""
    listing = root / "ImageSets" / "Segmentation" / f"{subset}.txt"
    if subset is None or not listing.is_file():
        return list(files), ()
    names = {line.strip() for line in listing.read_text(encoding="utf-8-sig").splitlines()}
    kept = [file for file in files if file.relative_to(folder).with_suffix("").as_posix() in names]
    return kept, (counted(len(kept), f"of {len(files)} images [is|are] in {listing.name}"),)


def _image(root: Path, folder: Path, file: Path, colors: Mapping[Color, str], *, by_id: bool) -> ShapedImage:
    below = file.relative_to(folder)
    class_file = root / CLASSES / below
    shown = _shown(class_file) if class_file.is_file() else None
    ids_map = read_label_map(file, exact=True, allow_empty=True, repairable=False).ids_map if by_id else None
    if ids_map is None:
        assert shown is not None
        shapes = tuple(_class_shapes(shown, colors))
        height, width = shown.shape[:2]
    else:
        if shown is not None and shown.shape[:2] != ids_map.shape:
            raise InputError("has another size than the mask of its objects", where=class_file, fix="export them again")
        masks = [(int(i), ids_map == i) for i in np.unique(ids_map) if i]
        shapes = tuple(Shape(_label(shown, mask, colors), encode(mask), i) for i, mask in masks)
        height, width = ids_map.shape
    return ShapedImage(below.with_suffix(".jpg").as_posix(), height, width, shapes)


def _shown(file: Path) -> npt.NDArray[np.uint8]:
    """The colours (H,W,3) of a mask."""
    with opened_image(file) as image:
        if image.mode == "L":  # numbers of classes, as some copies of the data set have them
            return np.array(PALETTE[np.array(image)])
        return np.array(image.convert("RGB"))


def _label(shown: npt.NDArray[np.uint8] | None, mask: npt.NDArray[np.bool_], colors: Mapping[Color, str]) -> str:
    """The class of most pixels of an object (H,W)."""
    if shown is None:
        return "object"
    found, counts = np.unique(shown[mask], axis=0, return_counts=True)
    named = [(int(count), colors[color]) for color, count in zip(map(tuple, found.tolist()), counts, strict=True)
             if color in colors]  # fmt: skip
    return max(named)[1] if named else "object"


def _class_shapes(shown: npt.NDArray[np.uint8], colors: Mapping[Color, str]) -> list[Shape]:
    void = tuple(PALETTE[VOID].tolist())
    found = [tuple(color) for color in np.unique(shown.reshape(-1, 3), axis=0).tolist()]
    objects = [color for color in found if any(color) and color != void]
    return [
        Shape(name, encode((shown == color).all(axis=2)), name)
        for color in objects
        for name in [colors.get(color, "{}-{}-{}".format(*color))]
    ]
