"""Reading the json files of the AP tasks: COCO and YouTube-VIS truths, and lists of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.records.json_files import read_json
from vossegcli.io.results.rle import compressed_rle

Json = dict[str, Any]
BOX_NUMBERS = 4
MOST_PIXELS = 1 << 31
LARGEST = 1e12


def read_instance_truth(path: Path, form: str) -> Json:
    """Read a COCO instances file: `images`, `annotations` (each with an area, a box and compressed RLE), `categories`.

    Args:
        path: json file.
        form: what results are compared by: `segm` or `boundary` (each annotation needs a mask), or `bbox`.

    Raises:
        InputError: not such a file, or an annotation lacks what evaluation needs.
    """
    truth = _read_truth(path, "images", "COCO instances")
    images = {image["id"]: image for image in truth["images"]}
    _check_references(truth["annotations"], "image_id", images, truth["categories"], path)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = int(bool(annotation.get("iscrowd")))
        _complete(annotation, images[annotation["image_id"]], path, form)
    return _renumbered(truth)


def read_track_truth(path: Path) -> Json:
    """Read a YouTube-VIS file: `videos`, `annotations` (segmentations become compressed RLE) and `categories`.

    Raises:
        InputError: not such a file, or a segmentation is malformed.
    """
    truth = _read_truth(path, "videos", "YouTube-VIS")
    videos = {video["id"]: video for video in truth["videos"]}
    _check_references(truth["annotations"], "video_id", videos, truth["categories"], path)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = int(bool(annotation.get("iscrowd")))
        annotation["segmentations"] = _masklet(annotation, videos[annotation["video_id"]], path)
        areas = annotation.get("areas")
        if not isinstance(areas, list) or not all(area is None or _is_number(area) for area in areas):
            annotation["areas"] = None  # counted from the masks
    return truth


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
    owners = {item["id"]: item for item in truth["images" if owner == "image_id" else "videos"]}
    for number, result in enumerate(results):
        if not isinstance(result, dict):
            raise InputError(f"result {number} is not an object", where=path, fix="write one object a result")
        score = result.get("score")
        if not _is_number(score):
            raise InputError(
                f"result {number} has the score {score!r:.40}", where=path, fix="give each result a number"
            )
    _check_references(results, owner, owners, None, path, noun="result")
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
    if not isinstance(height, int) or not isinstance(width, int) or not 0 < height * width < MOST_PIXELS:
        raise InputError(
            f"image or video {image['id']} has the size {width!r} x {height!r}",
            where=path,
            fix="give height and width in the ground truth",
        )
    return height, width


def _read_truth(path: Path, owners: str, kind: str) -> Json:
    truth = read_json(path)
    for name in (owners, "annotations", "categories"):
        if not isinstance(truth, dict) or not isinstance(truth.get(name), list):
            raise InputError(f"has no list '{name}'", where=path, fix=f"give a {kind} file")
        for item in truth[name]:
            allowed = int if name == "categories" else int | str
            if not isinstance(item, dict) or (name != "annotations" and not isinstance(item.get("id"), allowed)):
                raise InputError(f"an entry of '{name}' has no id", where=path, fix=f"give a {kind} file")
    return dict(truth)


def _check_references(
    items: Sequence[Json],
    owner: str,
    owners: Json,
    categories: Sequence[Json] | None,
    path: Path,
    noun: str = "annotation",
) -> None:
    """Check that each item belongs to something that is listed; without categories, any class will do."""
    known = None if categories is None else {category["id"] for category in categories}
    for number, item in enumerate(items):
        for field, listed in ((owner, owners.keys()), ("category_id", known)):
            if field not in item:
                raise InputError(f"{noun} {number} has no {field}", where=path, fix=f"give each {noun} a {field}")
            if not isinstance(item[field], int | str) or (listed is not None and item[field] not in listed):
                raise InputError(
                    f"{noun} {number} has the {field} {item[field]!r:.40}, which the ground truth does not list",
                    where=path,
                    fix="check that both files are of one data set",
                )


def _complete(annotation: Json, image: Json, path: Path, form: str) -> None:
    """Give an annotation what it lacks of RLE, area and box."""
    what = f"annotation {annotation.get('id')}"
    box = annotation.get("bbox")
    if form == "bbox" and _is_box(box):
        annotation["segmentation"] = {"size": [0, 0], "counts": b""}  # never looked at
        if not _is_number(annotation.get("area")):
            annotation["area"] = float(box[2] * box[3])
        return
    annotation["segmentation"] = rle = _mask(annotation, what, image, path)
    if not _is_number(annotation.get("area")):
        annotation["area"] = float(coco_mask.area(rle))
    if not _is_box(box):
        annotation["bbox"] = coco_mask.toBbox(rle).tolist()


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
