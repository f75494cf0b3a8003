"""Masks of classes: trees with a folder per class, and label maps whose ids are classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_trees import find_label_maps, find_mask_sequences
from vossegcli.io.records.file_names import label_of_folder
from vossegcli.io.records.json_files import read_json

CLASSES = "classes.json"


@dataclass(frozen=True)
class ClassMask:
    """The mask of one class in one image.

    Attributes:
        path: the file.
        object_id: the id of the class in a label map; None = the file shows this class alone.
    """

    path: Path
    object_id: int | None = None


ClassMasks = dict[str, dict[str, ClassMask]]  # class -> image -> mask


def only_images(masks: ClassMasks, images: Collection[str] | None) -> ClassMasks:
    """Leave out the images that do not count, and classes without any."""
    if images is None:
        return masks
    wanted = {*images, *(image.rpartition(".")[0] for image in images)}
    kept = {name: {image: mask for image, mask in shown.items() if {image, image.rpartition("/")[2]} & wanted}
            for name, shown in masks.items()}  # fmt: skip
    kept = {name: shown for name, shown in kept.items() if shown}
    if not kept:
        fix = "list names of masks, with or without suffix, one per line"
        raise InputError("none of the images in the list are in the ground truth", where="--images", fix=fix)
    return kept


def find_class_masks(folder: Path) -> ClassMasks:
    """Find the masks of each class: of a tree with a folder per class, or of label maps beside a `classes.json`.

    In names of folders, `%2F` stands for `/`, as a run writes them.

    Raises:
        InputError: the folder holds no masks, or `classes.json` is malformed.
    """
    if not (folder / CLASSES).is_file():
        trees = find_mask_sequences(folder)
        shared = Counter(map(label_of_folder, trees))
        return {
            name if shared[label := label_of_folder(name)] > 1 else label: {
                image: ClassMask(path) for image, path in images.items()
            }
            for name, images in trees.items()
        }
    try:
        ids = {str(name): int(key) for key, name in read_json(folder / CLASSES).items()}
    except (AttributeError, ValueError) as error:
        fix = 'write {"1": "name of the class with id 1", ...}'
        raise InputError("does not name ids", where=folder / CLASSES, fix=fix) from error
    maps = find_label_maps(folder)
    return {name: {image: ClassMask(path, number) for image, path in maps.items()} for name, number in ids.items()}
