"""Reading the json files of the AP tasks: COCO and YouTube-VIS truths, and lists of results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeGuard

from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.datasets.ids import look_up, read_category_id, read_id
from vossegcli.io.datasets.image_ids import id_of_name, ids_by_name
from vossegcli.io.datasets.shapes import Faults, check_size
from vossegcli.io.datasets.tools.coco import is_crowd, is_lvis, read_categories, read_listed, usable_segmentation
from vossegcli.io.records.json_files import read_json
from vossegcli.io.results.rle import compressed_rle

Json = dict[str, Any]
BOX_NUMBERS = 4
LARGEST = 1e12
_FIX = "correct or remove these annotations"


def read_instance_truth(path: Path, form: str) -> Json:
    """Read a COCO instances file: `images`, `annotations` (each with an area, a box and compressed RLE), `categories`.

    Annotations of images that are not listed, and those with nothing but degenerate polygons, are left out and counted
    in `notes`.

    Args:
        path: json file.
        form: what results are compared by: `segm` or `boundary` (each annotation needs a mask), or `bbox`.

    Raises:
        InputError: not such a file, or annotations lack what evaluation needs; all of them are listed.
    """
    truth, faults = _read_truth(path, "images", "image_id", "COCO instances")
    images = {image["id"]: image for image in truth["images"]}
    kept = []
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = int(is_crowd(annotation))
        try:
            if _complete(annotation, images[annotation["image_id"]], path, form, faults):
                kept.append(annotation)
        except InputError as error:
            faults.add(_named(annotation), error.what)
    if truth["annotations"] and not kept:
        faults.add("annotations", "none of them has a mask")
    return _checked({**truth, "annotations": kept}, faults)


def read_track_truth(path: Path) -> Json:
    """Read a YouTube-VIS file: `videos`, `annotations` (segmentations become compressed RLE) and `categories`.

    Raises:
        InputError: not such a file, or segmentations are malformed; all of them are listed.
    """
    truth, faults = _read_truth(path, "videos", "video_id", "YouTube-VIS")
    videos = {video["id"]: video for video in truth["videos"]}
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = int(is_crowd(annotation))
        try:
            annotation["segmentations"] = _masklet(annotation, videos[annotation["video_id"]], path)
        except InputError as error:
            faults.add(_named(annotation), error.what)
        areas = annotation.get("areas")
        if not isinstance(areas, list) or not all(area is None or _is_number(area) for area in areas):
            annotation["areas"] = None  # counted from the masks
    faults.check(_FIX)
    return {**truth, "notes": faults.notes}


def _checked(truth: Json, faults: Faults) -> Json:
    faults.check(_FIX)
    return _renumbered({**truth, "notes": faults.notes})


def _named(annotation: Json) -> str:
    return f"annotation {annotation.get('id')}"


def _renumbered(truth: Json) -> Json:
    """Number the annotations 1, 2, ...: pycocotools takes the id 0 for "no match", and one id twice for one object."""
    numbered = [{**annotation, "id": number} for number, annotation in enumerate(truth["annotations"], start=1)]
    return {**truth, "annotations": numbered}


def read_results(path: Path, owner: str, truth: Json, form: str) -> list[Json]:
    """Read a list of results.

    Args:
        path: json file with a list of objects.
        owner: what a result belongs to: `image_id` or `video_id`.
        truth: what it is evaluated against.
        form: what results are compared by: `segm` or `boundary` (each needs a mask), `bbox` or `masklet`.

    Raises:
        InputError: not such a list, or a result lacks a field, has a score that is no number, or belongs to an image
            or video that the truth lacks.
    """
    results = read_json(path)
    if not isinstance(results, list):
        raise InputError("is not a list of results", where=path, fix="give a list of {category_id, score, ...}")
    for number, result in enumerate(results):
        if not isinstance(result, dict):
            raise InputError(f"result {number} is not an object", where=path, fix="write one object a result")
        score = result.get("score")
        if not _is_number(score):
            raise InputError(
                f"result {number} has the score {score!r:.40}", where=path, fix="give each result a number"
            )
    results = _with_ids_of(truth, results, owner, path)
    owners = {item["id"]: item for item in truth["images" if owner == "image_id" else "videos"]}
    for number, result in enumerate(results):
        item = owners[result[owner]]
        if form == "masklet":
            result["segmentations"] = _masklet(result, item, path)
        elif form == "bbox" and "segmentation" not in result:
            _check_box(result, number, path)
        else:
            result["segmentation"] = _mask(result, f"result {number}", item, path)
            if result.get("bbox"):
                _check_box(result, number, path)
    return _with_one_kind_of_area(results, form)


def _with_one_kind_of_area(results: list[Json], form: str) -> list[Json]:
    """Keep the fields that count, and boxes only where all results have one.

    pycocotools takes areas from the boxes if the first result has one, and then asks for a box of every result.
    """
    kept = ("image_id", "video_id", "category_id", "score", "segmentation", "segmentations")
    has_boxes = all(result.get("bbox") for result in results)
    chosen = [{name: result[name] for name in kept if name in result} for result in results]
    for result, source in zip(chosen, results, strict=True):
        if has_boxes:
            result["bbox"] = source["bbox"]
        elif form == "bbox":
            result["bbox"] = source.get("bbox") or coco_mask.toBbox(result["segmentation"]).tolist()
    return chosen


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < LARGEST and math.isfinite(value)


def _is_box(value: object) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == BOX_NUMBERS and all(map(_is_number, value))


def _check_box(result: Json, number: int, path: Path) -> None:
    box = result.get("bbox")
    if not _is_box(box):
        raise InputError(f"result {number} has the box {box!r:.80}", where=path, fix="give [x, y, width, height]")


def _mask(item: Json, what: str, image: Json, path: Path) -> Json:
    """The mask of a result or annotation, checked against the size of its image."""
    if "segmentation" not in item:
        raise InputError(f"{what} has no segmentation", where=path, fix="give masks, or evaluate --iou bbox")
    try:
        return compressed_rle(item["segmentation"], *_size(image, path))
    except ValueError as error:
        raise InputError(
            f"{what} has no mask that can be read: {error}",
            where=path,
            fix="give RLE or polygons at the size of the image, or evaluate --iou bbox",
        ) from error


def _size(image: Json, path: Path) -> tuple[int, int]:
    """(H, W) of an image or video."""
    height, width = image.get("height"), image.get("width")
    try:
        return check_size(height, width)
    except ValueError as error:
        raise InputError(
            f"image or video {image['id']} has the size {width!r} x {height!r}",
            where=path,
            fix="give height and width in the ground truth",
        ) from error


def _read_truth(path: Path, owners: str, owner_key: str, kind: str) -> tuple[Json, Faults]:
    """Read a truth with its ids in one spelling; annotations of what is not listed are left out."""
    payload = read_json(path)
    faults = Faults(path)
    for name in (owners, "annotations", "categories"):
        if not isinstance(payload, dict) or not isinstance(payload.get(name), list):
            found = f"has '{name}', which is no list" if isinstance(payload, dict) and name in payload else None
            raise InputError(found or f"has no list '{name}'", where=path, fix=f"give a {kind} file")
    refuse_lvis(payload, path)
    listed = {number: {**item, "id": number} for number, item in read_listed(payload, owners, faults).items()}
    names = read_categories(payload, faults)
    faults.check(f"give a {kind} file")
    kept = []
    for number, annotation in enumerate(payload["annotations"]):
        if not isinstance(annotation, dict):
            faults.add(f"entry {number} of 'annotations'", "is no object")
            continue
        owner, category = look_up(annotation.get(owner_key), listed), read_category_id(annotation.get("category_id"))
        if read_id(annotation.get(owner_key)) is None:
            faults.add(_named(annotation), f"the {owner_key} {annotation.get(owner_key)!r:.40} is no id")
        elif owner is None:
            faults.drop(f"annotation[|s] of {owners} that are not listed")
        elif category not in names:
            faults.add(_named(annotation), f"its category_id {annotation.get('category_id')!r:.40} is not listed")
        else:
            kept.append({**annotation, owner_key: owner, "category_id": category})
    categories = [{"id": number, "name": name} for number, name in names.items()]
    return {**payload, owners: list(listed.values()), "annotations": kept, "categories": categories}, faults


def refuse_lvis(payload: object, path: Path) -> None:
    """Refuse a truth of LVIS: it annotates an image for some categories alone, so that right results look wrong.

    Raises:
        InputError: it is of LVIS.
    """
    if is_lvis(payload):
        raise InputError(
            "is of LVIS (it has neg_category_ids or not_exhaustive_category_ids), whose rules are not COCO's",
            where=path,
            fix="evaluate it with lvis-api, or remove these fields to evaluate it by COCO's rules",
        )


def _with_ids_of(truth: Json, results: list[Json], owner_key: str, path: Path) -> list[Json]:
    """The results with ids as the truth spells them; those of categories that it does not list stay."""
    listed = {item["id"]: item for item in truth["images" if owner_key == "image_id" else "videos"]}
    unknown = owner_key == "image_id" and all(look_up(result.get(owner_key), listed) is None for result in results)
    named = ids_by_name(listed) if unknown else {}  # Ultralytics writes stems of files, others their names
    kept = []
    for number, result in enumerate(results):
        for name in (owner_key, "category_id"):
            if name not in result:
                raise InputError(f"result {number} has no {name}", where=path, fix=f"give each result a {name}")
        owner, category = look_up(result[owner_key], listed), read_category_id(result["category_id"])
        owner = id_of_name(str(result[owner_key]), named) if owner is None else owner
        if owner is None:
            raise InputError(
                f"result {number} has the {owner_key} {result[owner_key]!r:.40}, which the ground truth does not list",
                where=path,
                fix="check that both files are of one data set",
            )
        if category is None:
            what = f"result {number} has the category_id {result['category_id']!r:.40}"
            raise InputError(what, where=path, fix="give a whole number")
        kept.append({**result, owner_key: owner, "category_id": category})
    return kept


def _complete(annotation: Json, image: Json, path: Path, form: str, faults: Faults) -> bool:
    """Give an annotation what it lacks of RLE, area and box; tells whether it is one that counts."""
    box = annotation.get("bbox")
    if form == "bbox" and _is_box(box):
        annotation["segmentation"] = {"size": [0, 0], "counts": b""}  # never looked at
        if not _is_number(annotation.get("area")):
            annotation["area"] = float(box[2] * box[3])
        return True
    segmentation = annotation.get("segmentation", {})
    if usable_segmentation(segmentation) is None:
        reason = "with nothing but degenerate polygons" if isinstance(segmentation, list) else "without mask"
        faults.drop(f"annotation[|s] {reason}")
        return False
    if isinstance(segmentation, list):
        annotation["segmentation"] = usable_segmentation(segmentation)
    annotation["segmentation"] = rle = _mask(annotation, "it", image, path)
    if not _is_number(annotation.get("area")):
        annotation["area"] = float(coco_mask.area(rle))
    if not _is_box(box):
        annotation["bbox"] = coco_mask.toBbox(rle).tolist()
    return True


def _masklet(annotation: Json, video: Json, path: Path) -> list[Json | None]:
    segmentations = annotation.get("segmentations")
    if not isinstance(segmentations, list):
        raise InputError(
            f"a masklet of video {video['id']} has no list 'segmentations'",
            where=path,
            fix="give one RLE, polygon or null a frame",
        )
    try:
        return [compressed_rle(s, *_size(video, path)) if s else None for s in segmentations]
    except ValueError as error:
        raise InputError(
            f"a segmentation of video {video['id']} cannot be read: {error}",
            where=path,
            fix="give one RLE, polygon or null a frame, at the size of the video",
        ) from error
