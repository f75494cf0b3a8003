"""Data sets for few-shot episodes: which images show which class, in the layouts that the benchmarks have.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.datasets.annotations import read_coco_categories, read_coco_instances
from vossegcli.io.datasets.supports import Support, check_same_size, find_supports, read_support
from vossegcli.io.datasets.tools.voc import PASCAL_CLASSES
from vossegcli.io.masks.label_maps import VOID
from vossegcli.io.masks.stored_masks import read_stored_mask
from vossegcli.io.media.images import read_image
from vossegcli.io.records.file_names import natural_key, subfolder

CocoSplit = Literal["interleaved", "contiguous"]
FOLDS = 4

_PASCAL_ROOTS = (".", "VOC2012", "VOCdevkit/VOC2012")
_PASCAL_MASKS = ("SegmentationClassAug", "SegmentationClass")
_COCO_FILES = ("annotations/instances_val2014.json", "annotations/instances_val2017.json")


class MaskFile(NamedTuple):
    """A label map in which one id is the class; 255 is void."""

    path: Path
    object_id: int


class MaskRuns(NamedTuple):
    """Compressed RLEs whose union is the class."""

    segmentations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class ClassImage:
    """An image that shows a class.

    Attributes:
        name: tells it from the other images of its class.
        image: file.
        mask: where its mask is.
    """

    name: str
    image: Path
    mask: Support | MaskFile | MaskRuns

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        if isinstance(self.mask, MaskRuns):
            return (self.image,)
        return (self.image, self.mask.mask if isinstance(self.mask, Support) else self.mask.path)


@dataclass(frozen=True)
class EpisodeSet:
    """The images of each class.

    Attributes:
        layout: what the data set was recognised as.
        classes: class name -> images; classes with a single image are left out.
        queries: (class, number of the image) in the order in which they are queries; None = drawn.
    """

    layout: str
    classes: Mapping[str, tuple[ClassImage, ...]]
    queries: tuple[tuple[str, int], ...] | None


def find_episode_set(
    dataset: Path,
    *,
    fold: int | None = None,
    split: CocoSplit = "interleaved",
    listing: Path | None = None,
    images: Path | None = None,
) -> EpisodeSet:
    """Recognise a data set.

    * `<class>/<n>.jpg` beside `<class>/<n>.png` (FSS-1000): every image is a query in turn.
    * PASCAL VOC (`JPEGImages` and `SegmentationClassAug` or `SegmentationClass`): the images of
      `ImageSets/Segmentation/val.txt` or of a list; every image and class is a query in turn.
    * COCO (`annotations/instances_val2014.json` or `..2017`, images beside it) or an instances file: classes drawn.

    Args:
        dataset: folder or COCO instances file.
        fold: 0..3 of PASCAL-5i or COCO-20i; None = all classes.
        split: of COCO into folds: every fourth class (FWB, HSNet), or 20 in a row (PANet).
        images: a folder that the images of COCO lie below; None = the usual places.
        listing: file of HSNet's form: lines `<image>__<class id>` (PASCAL, COCO) or names of classes (class folders).

    Raises:
        InputError: no such data set, a file is missing or malformed, or no class has two images.
        ConfigError: a fold where there are none, or out of range.
    """
    if fold is not None and not 0 <= fold < FOLDS:
        raise ConfigError(f"fold is {fold}", where="--fold", fix="give 0, 1, 2 or 3")
    roots = (dataset / root for root in _PASCAL_ROOTS)
    pascal = next((root for root in roots if subfolder(root, "JPEGImages").is_dir()), None)
    coco = next((dataset / file for file in _COCO_FILES if (dataset / file).is_file()), None)
    if pascal is not None:
        found = _pascal(pascal, fold, listing)
    elif coco is not None:
        found = _coco(coco, images or dataset / coco.stem.removeprefix("instances_"), fold, split, listing)
    elif fold is not None:
        raise ConfigError(
            "holds neither PASCAL VOC nor COCO, which have folds", where=dataset, fix="leave out --fold, or give a root"
        )
    elif dataset.suffix.lower() == ".json":
        found = _coco(dataset, images or dataset.parent, None, split, listing)
    else:
        found = _class_folders(dataset, listing)
    kept = {name: images for name, images in found.classes.items() if len(images) > 1}
    if not kept:
        raise InputError("no class has two images", where=dataset, fix="give a data set with at least one such class")
    queries = None if found.queries is None else tuple(query for query in found.queries if query[0] in kept)
    return EpisodeSet(found.layout, kept, queries)


def read_class_image(
    shown: ClassImage,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Read an image (H,W,3), the mask (H,W) of its class, and which pixels (H,W) are void.

    Raises:
        InputError: a file cannot be read, or image and mask differ in size.
    """
    if isinstance(shown.mask, Support):
        image, mask = read_support(shown.mask)
        return image, mask, np.zeros_like(mask)
    image = read_image(shown.image)
    where = shown.image
    if isinstance(shown.mask, MaskFile):
        where = shown.mask.path
        ids_map = read_stored_mask(where).pixels
        mask, void = ids_map == shown.mask.object_id, ids_map == VOID
    else:
        mask = coco_mask.decode(coco_mask.merge(list(shown.mask.segmentations))).astype(np.bool_)
        void = np.zeros_like(mask)
    check_same_size(where, mask, image)
    return image, mask, void


def _class_folders(dataset: Path, listing: Path | None) -> EpisodeSet:
    wanted = None if listing is None else set(_lines(listing))
    classes = {
        name: tuple(ClassImage(support.image.stem, support.image, support) for support in supports)
        for name, supports in find_supports(dataset).classes.items()
        if wanted is None or name in wanted
    }
    if wanted is not None and wanted - set(classes):
        raise InputError(f"lacks the class '{min(wanted - set(classes))}'", where=dataset, fix=f"fix {listing}")
    # The benchmark goes through the files in the order of their names as text, and draws supports by their numbers.
    queries = tuple(
        (name, number)
        for name in sorted(classes)
        for number in sorted(range(len(classes[name])), key=lambda k: classes[name][k].image.name)  # noqa: B023
    )
    return EpisodeSet("class folders", classes, queries)


def _pascal(root: Path, fold: int | None, listing: Path | None) -> EpisodeSet:
    masks = next((root / name for name in _PASCAL_MASKS if (root / name).is_dir()), None)
    if masks is None:
        raise InputError("has no SegmentationClassAug or SegmentationClass", where=root, fix="add the masks")
    size = len(PASCAL_CLASSES) // FOLDS
    ids = range(1, len(PASCAL_CLASSES) + 1) if fold is None else range(size * fold + 1, size * (fold + 1) + 1)
    if listing is not None:
        pairs = _listed_pairs(listing, ids)
    else:
        names = _lines(root / "ImageSets" / "Segmentation" / "val.txt")
        pairs = [(name, i) for name in names for i in np.unique(read_stored_mask(masks / f"{name}.png").pixels)]
        pairs = [(name, int(i)) for name, i in pairs if i in ids]
    classes: dict[str, list[ClassImage]] = {PASCAL_CLASSES[i - 1]: [] for i in ids}
    queries, images = [], subfolder(root, "JPEGImages")
    for name, i in pairs:
        shown = classes[PASCAL_CLASSES[i - 1]]
        queries.append((PASCAL_CLASSES[i - 1], len(shown)))
        shown.append(ClassImage(name, images / f"{name}.jpg", MaskFile(masks / f"{name}.png", i)))
    which = "all" if fold is None else f"fold {fold}"
    return EpisodeSet(f"PASCAL-5i {which}", {k: tuple(v) for k, v in classes.items()}, tuple(queries))


def _coco(file: Path, folder: Path, fold: int | None, split: CocoSplit, listing: Path | None) -> EpisodeSet:
    """COCO's images, or those of any instances file; crowds are no part of the masks."""
    categories = read_coco_categories(file)
    ids = sorted(categories)
    if fold is not None:
        size = len(ids) // FOLDS
        chosen = ids[fold::FOLDS] if split == "interleaved" else ids[size * fold : size * (fold + 1)]
    else:
        chosen = ids
    listed = None if listing is None else _listed_pairs(listing, range(1, len(ids) + 1))
    place = None if listed is None else {pair: number for number, pair in enumerate(listed)}
    classes: dict[str, list[ClassImage]] = {categories[i]: [] for i in chosen}
    for image in read_coco_instances(file, images=folder):
        inside = image.path.is_relative_to(folder)
        name = (image.path.relative_to(folder) if inside else Path(image.path.name)).with_suffix("").as_posix()
        for i in sorted(set(image.categories) & set(chosen)):
            if place is None or (image.path.stem, ids.index(i) + 1) in place:
                parts = [s for s, c in zip(image.segmentations, image.categories, strict=True) if c == i]
                classes[categories[i]].append(ClassImage(name, image.path, MaskRuns(tuple(parts))))
    for i in chosen:  # draws depend on the order: the list's, else that of the names
        number = ids.index(i) + 1
        classes[categories[i]].sort(
            key=lambda shown: natural_key(shown.name) if place is None else place[shown.image.stem, number]  # noqa: B023
        )
    layout = file.name if fold is None else f"COCO-20i {split} fold {fold}"
    return EpisodeSet(layout, {name: tuple(shown) for name, shown in classes.items()}, None)


def _listed_pairs(listing: Path, ids: Sequence[int]) -> list[tuple[str, int]]:
    """Lines `<image>__<class id>`, as the public lists have them; other folds' classes are left out."""
    pairs = []
    for line in _lines(listing):
        name, _, number = line.rpartition("__")
        if not name or not number.isdecimal():
            raise InputError(f"has the line '{line}'", where=listing, fix="write <image>__<class id> on each line")
        if int(number) in ids:
            pairs.append((Path(name).stem, int(number)))
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=path, fix="give a text file") from error
