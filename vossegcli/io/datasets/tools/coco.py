"""COCO: one JSON file with `images`, `annotations` and `categories`; and YouTube-VIS, with `videos` instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from vossegcli.io.datasets.ids import Id, look_up, read_category_id, read_id
from vossegcli.io.datasets.shapes import (
    FEWEST_POINTS,
    Annotations,
    Faults,
    Rle,
    Shape,
    ShapedImage,
    check_size,
    is_empty,
)
from vossegcli.io.media.image_files import as_posix
from vossegcli.io.results.rle import compressed_rle

TOOL = "COCO"
_IDENTITIES = ("track_id", "object_id", "instance_id")
_FIX = "correct the annotations, or export the file again"
_LVIS = frozenset({"neg_category_ids", "not_exhaustive_category_ids"})
LVIS_NOTE = "LVIS searches an image for some classes only: objects of its other classes count as background"
BEYOND = 0.05  # of the image's longer side: a polygon that reaches farther out was drawn on another size

Json = dict[str, Any]


def is_coco(payload: object) -> bool:
    """Return True if a JSON file has images or videos and their annotations, or one image as Segment Anything has."""
    if not isinstance(payload, dict) or "annotations" not in payload or _are_captions(payload["annotations"]):
        return False
    return "images" in payload or "videos" in payload or isinstance(payload.get("image"), dict)


def _are_captions(annotations: object) -> bool:
    first = annotations[0] if isinstance(annotations, list) and annotations else None
    return isinstance(first, dict) and "caption" in first and "category_id" not in first


def read_coco(path: Path, payload: Json) -> Annotations:
    """Read a COCO instances file or a YouTube-VIS file.

    Crowds, degenerate polygons, annotations without mask, and those of images that are not listed are left out and
    counted. Tools that call every mask that is no polygon a crowd are known by the `attributes` of annotations, or by
    annotations that are crowds all: there they are objects. A `track_id`, `object_id` or `instance_id`, also among
    the `attributes`, tells which object it is.

    Raises:
        InputError: what is left is malformed; all faults are listed.
    """
    faults = Faults(path)
    payload = _with_images(payload)
    categories = read_categories(payload, faults)
    annotations = _entries(payload, "annotations", faults)
    are_objects = bool(annotations) and all(is_crowd(annotation) for annotation, _ in annotations)
    owners, owner_key = ("videos", "video_id") if "images" not in payload else ("images", "image_id")
    listed = read_listed(payload, owners, faults)
    shapes: dict[Id, list[tuple[int, Shape]]] = {owner: [] for owner in listed}
    if _are_shares(payload.get("annotations")):
        faults.add("annotations", "their coordinates are shares of the image's size, where COCO has pixels")
    for annotation, where in annotations:
        owner = look_up(annotation.get(owner_key), listed)
        if read_id(annotation.get(owner_key)) is None:
            faults.add(where, f"the {owner_key} {annotation.get(owner_key)!r:.40} is neither a number nor a text")
        elif owner is None:
            faults.drop(f"annotation[|s] of {owners} that are not listed")
        elif is_crowd(annotation) and not (are_objects or isinstance(annotation.get("attributes"), dict)):
            faults.drop("crowd[|s]")
        else:
            shapes[owner] += _shapes(annotation, where, listed[owner], categories, faults)
    images = [image for owner, item in listed.items() for image in _images(owner, item, shapes[owner], faults)]
    faults.check(_FIX)
    notes = (*faults.notes, LVIS_NOTE) if is_lvis(payload) else faults.notes
    class_ids = {name: number for number, name in categories.items()}
    return Annotations(TOOL, path, tuple(images), tuple(categories.values()), notes, class_ids)


def is_lvis(payload: object) -> bool:
    """Return True for a file of LVIS: its images say which classes they were searched for."""
    images = payload.get("images") if isinstance(payload, dict) else None
    return isinstance(images, list) and any(isinstance(image, dict) and _LVIS & image.keys() for image in images)


def _with_images(payload: Json) -> Json:
    """Give a file of one image, as Segment Anything's data set has them, the lists that COCO has."""
    image = payload.get("image")
    if "images" in payload or "videos" in payload or not isinstance(image, dict):
        return payload
    number = image.get("id", image.get("image_id", 1))
    listed = payload["annotations"] if isinstance(payload["annotations"], list) else []
    annotations = [{"category_id": 1, **one, "image_id": number} if isinstance(one, dict) else one for one in listed]
    categories = payload.get("categories", [{"id": 1, "name": "object"}])
    return {"images": [{**image, "id": number}], "annotations": annotations, "categories": categories}


def read_categories(payload: Mapping[str, Any], faults: Faults) -> dict[int, str]:
    """Names of the categories by id, in the order of the file."""
    found: dict[int, str] = {}
    for category, where in _entries(payload, "categories", faults) if "categories" in payload else ():
        number = read_category_id(category.get("id"))
        if number is None:
            faults.add(where, f"the id {category.get('id')!r:.40} is no whole number")
        elif number in found:
            faults.add(where, f"the id {number} is given twice")
        else:
            found[number] = str(category.get("name", number))
    return found


def read_listed(payload: Mapping[str, Any], owners: str, faults: Faults) -> dict[Id, Json]:
    """The entries of `images` or `videos` by id."""
    found: dict[Id, Json] = {}
    for item, where in _entries(payload, owners, faults):
        owner = read_id(item.get("id"))
        if owner is None:
            faults.add(where, f"the id {item.get('id')!r:.40} is neither a number nor a text")
        elif owner in found:
            faults.add(where, f"the id {owner!r} is given twice")
        else:
            found[owner] = item
    return found


def is_crowd(annotation: Mapping[str, Any]) -> bool:
    """Read `iscrowd`: 0, 1, true, false, "0" or "1"."""
    value = annotation.get("iscrowd")
    return value.strip().lower() not in {"", "0", "false"} if isinstance(value, str) else bool(value)


def usable_segmentation(segmentation: object) -> object | None:
    """Leave out the degenerate polygons of a segmentation: those of fewer than three points.

    A polygon may be a list of pairs, and the only one of an object need not be in a list of its own.

    Returns:
        None if nothing is left.
    """
    if segmentation is None:
        return None
    if not isinstance(segmentation, list):
        return segmentation
    if segmentation and all(isinstance(value, int | float) for value in segmentation):
        segmentation = [segmentation]
    kept = [polygon for polygon in map(_flat, segmentation) if not _is_degenerate(polygon)]
    return kept or None


def _flat(polygon: object) -> object:
    """A polygon as numbers in a row."""
    pairs = isinstance(polygon, list) and polygon and all(isinstance(p, list) and len(p) == 2 for p in polygon)  # noqa: PLR2004
    return [value for point in polygon for value in point] if pairs and isinstance(polygon, list) else polygon


def _is_degenerate(polygon: object) -> bool:
    return isinstance(polygon, list) and len(polygon) < 2 * FEWEST_POINTS


def _entries(payload: Mapping[str, Any], name: str, faults: Faults) -> list[tuple[Json, str]]:
    """The entries of a list, each with its name in messages."""
    entries = payload.get(name)
    if not isinstance(entries, list):
        faults.add(name, "is no list" if name in payload else "is missing")
        return []
    found = []
    for number, entry in enumerate(entries):
        where = f"{_SINGULAR[name]} {entry['id']}" if _has_id(entry) else f"entry {number} of '{name}'"
        if isinstance(entry, dict):
            found.append((entry, where))
        else:
            faults.add(where, "is no object")
    return found


_SINGULAR = {"images": "image", "videos": "video", "annotations": "annotation", "categories": "category"}


def _has_id(entry: object) -> TypeGuard[Json]:
    return isinstance(entry, dict) and entry.get("id") is not None


def _shapes(
    annotation: Json, where: str, owner: Json, categories: Mapping[int, str], faults: Faults
) -> list[tuple[int, Shape]]:
    """The shapes of an annotation, each with the number of its frame."""
    category = read_category_id(annotation.get("category_id"))
    if category is None:
        faults.add(where, f"the category_id {annotation.get('category_id')!r:.40} is no whole number")
        return []
    if categories and category not in categories:
        faults.doubtful["annotation[|s] [has|have] a category that is not listed: it is called by its number"] += 1
    label = categories.get(category, str(category))
    if "segmentations" in annotation:
        listed = annotation["segmentations"] if isinstance(annotation["segmentations"], list) else []
        key: Id | None = read_id(annotation.get("id"))
    else:
        listed, key = [annotation.get("segmentation")], _identity(annotation)
    found = []
    for number, segmentation in enumerate(listed):
        if segmentation is None and len(listed) > 1:
            continue
        rle = _rle(segmentation, where, owner, faults)
        if rle is not None:
            found.append((number, Shape(label, rle, key)))
    return found


def _rle(segmentation: object, where: str, owner: Json, faults: Faults) -> Rle | None:
    usable = usable_segmentation(segmentation)
    if usable is None:
        what = "with nothing but degenerate polygons" if isinstance(segmentation, list) else "without mask"
        faults.drop(f"annotation[|s] {what}")
        return None
    try:
        height, width = check_size(owner.get("height"), owner.get("width"))
        rle = compressed_rle(usable, height, width)
    except ValueError as error:
        faults.add(where, error)
        return None
    if is_empty(rle):
        faults.drop("annotation[|s] without a pixel")
        return None
    if isinstance(usable, list) and _reaches_beyond(usable, height, width):
        faults.doubtful["annotation[|s] reach[es|] beyond the image: was another size annotated?"] += 1
    return rle


def _are_shares(annotations: object) -> bool:
    """Return True if all polygons lie between 0 and 1, as some exporters write them."""
    listed = [one for one in annotations if isinstance(one, dict)] if isinstance(annotations, list) else []
    polygons = [p for one in listed if isinstance(one.get("segmentation"), list) for p in one["segmentation"]]
    values = [v for p in polygons if isinstance(p, list) for v in p if isinstance(v, int | float)]
    return bool(values) and max(values) <= 1 and any(0 < v < 1 for v in values)


def _reaches_beyond(polygons: Sequence[Sequence[float]], height: int, width: int) -> bool:
    far = BEYOND * max(height, width)
    beyond = (max(max(p[0::2]) - width, max(p[1::2]) - height, -min(p)) for p in polygons)
    return max(beyond) > far


def _identity(annotation: Json) -> Id | None:
    attributes = annotation.get("attributes")
    for source in (annotation, attributes if isinstance(attributes, dict) else {}):
        for name in _IDENTITIES:
            found = read_id(source.get(name))
            if found is not None:
                return found
    return None


def _images(owner: Id, item: Json, shapes: list[tuple[int, Shape]], faults: Faults) -> list[ShapedImage]:
    """The image, or the frames of a video, with the shapes that belong to each."""
    is_video = "file_names" in item
    names = item["file_names"] if is_video else [item.get("file_name") or item.get("coco_url")]  # LVIS: an address
    where = f"{'video' if is_video else 'image'} {owner}"
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        faults.add(where, "has no file name")
        return []
    try:
        height, width = check_size(item.get("height"), item.get("width"))
    except ValueError as error:
        faults.add(where, error)
        return []
    source = str(item.get("source", item.get("source_group", "")))
    return [
        ShapedImage(
            as_posix(name), height, width, tuple(shape for number, shape in shapes if number == frame), source=source
        )
        for frame, name in enumerate(names)
    ]
