"""Annotations of other tools as the truth of an evaluation of instances, in COCO's form."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from pycocotools import mask as coco_mask

from vossegcli.io.datasets.annotations import class_numbers
from vossegcli.io.datasets.formats import head_of, read_annotations
from vossegcli.io.datasets.ids import Id, read_id
from vossegcli.io.datasets.label_map_folders import read_classes
from vossegcli.io.datasets.shapes import Annotations
from vossegcli.io.datasets.tools.coco import is_coco
from vossegcli.io.records.file_names import natural_key
from vossegcli.io.records.json_files import read_json

Json = dict[str, Any]


def is_coco_file(path: Path) -> bool:
    """Tell one JSON file of COCO or YouTube-VIS, or one that is meant as such: evaluation says what it lacks."""
    if not path.is_file() or not head_of(path).startswith((b"{", b"[")):
        return False
    payload = read_json(path)
    keys = set(payload) if isinstance(payload, dict) else set()
    return "image" not in keys and (is_coco(payload) or not keys & {"shapes", "objects", "items"})


def read_foreign_truth(path: Path, results: Path, folder: Path | None = None) -> Json:
    """Read annotations of any tool as a COCO data set.

    Images have the ids that the run gave them which wrote the results (`images.json` beside them). Else their ids are
    their stems, where the results name images so, as Ultralytics does ("bus", or 139 for `000139.jpg`), or 1, 2, ...
    in natural order of their names. Classes have those of the run (`classes.json`), else the tool's.

    Args:
        path: annotation file or folder.
        results: file of the results.
        folder: that the images lie below; None = the usual places.

    Raises:
        InputError: the annotations cannot be read.
    """
    annotations = read_annotations(path, images=folder)
    of_run = {name: number for number, name in read_classes(results.parent).items()}
    numbers = _class_ids(class_numbers(annotations), of_run)
    image_ids = _image_ids(results.parent) or _stems_as_ids(annotations, results)
    images: list[Json] = []
    objects: list[Json] = []
    ordered = sorted(annotations.images, key=lambda image: natural_key(image.name))
    for number, image in enumerate(ordered, start=1):
        stem = PurePosixPath(image.name).stem
        owner = image_ids.get(
            image.name.rpartition(".")[0], image_ids.get(stem, number if not image_ids else image.name)
        )
        images.append({"id": owner, "file_name": image.name, "height": image.height, "width": image.width})
        for shape in image.shapes:
            objects.append({
                "id": len(objects) + 1, "image_id": owner, "category_id": numbers[shape.label], "iscrowd": 0,
                "segmentation": shape.rle, "area": float(coco_mask.area(shape.rle)),
                "bbox": coco_mask.toBbox(shape.rle).tolist(),
            })  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": objects, "categories": categories, "notes": annotations.notes}


def _class_ids(own: dict[str, int], of_run: dict[str, int]) -> dict[str, int]:
    """The run's ids of the classes that it knows, and free ones for the others."""
    if not of_run:
        return own
    free = max(of_run.values())
    numbers = {}
    for name in own:
        if name not in of_run:
            free += 1
        numbers[name] = of_run.get(name, free)
    return numbers


def _stems_as_ids(annotations: Annotations, results: Path) -> dict[str, Id]:
    """The ids by the stems of the images, where every result has one of them as its image_id."""
    listed = read_json(results) if results.is_file() else None
    given = (
        {read_id(one.get("image_id")) for one in listed if isinstance(one, dict)} if isinstance(listed, list) else {}
    )
    stems = [PurePosixPath(image.name).stem for image in annotations.images]
    ids: dict[str, Id] = {stem: _number_or_text(stem) for stem in stems}
    known = {*ids, *ids.values()}
    unique = len(set(ids.values())) == len(stems)
    return ids if given and unique and all(one in known for one in given) else {}


def _number_or_text(stem: str) -> Id:
    return int(stem) if stem.isascii() and stem.isdecimal() else stem


def _image_ids(folder: Path) -> dict[str, Id]:
    """The ids that a run gave its images, by their names."""
    if not (folder / "images.json").is_file():
        return {}
    listed = read_json(folder / "images.json")
    found: dict[str, Id] = {}
    for item in listed if isinstance(listed, list) else []:
        number = read_id(item.get("id")) if isinstance(item, dict) else None
        if number is not None:
            found[str(item.get("name"))] = number
            found.setdefault(PurePosixPath(str(item.get("name"))).name, number)
    return found
