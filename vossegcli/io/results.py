"""Reading the json files of the AP tasks: COCO and YouTube-VIS truths, and lists of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.json_files import read_json
from vossegcli.io.rle import compressed_rle

Json = dict[str, Any]
BOX_NUMBERS = 4
MOST_PIXELS = 1 << 31


def read_instance_truth(path: Path) -> Json:
    """Read a COCO instances file: `images`, `annotations` (each with an area, a box and compressed RLE), `categories`.

    Raises:
        InputError: not such a file, or an annotation lacks what evaluation needs.
    """
    truth = _read_truth(path, "images", "COCO instances")
    images = {image["id"]: image for image in truth["images"]}
    _check_references(truth["annotations"], "image_id", images, truth["categories"], path)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = int(bool(annotation.get("iscrowd")))
        _complete(annotation, images[annotation["image_id"]], path)
    return truth


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


def read_results(path: Path, owner: str, truth: Json, form: str) -> list[Json]:
    """Read a list of results.

    Args:
        path: json file with a list of objects.
        owner: what a result belongs to: `image_id` or `video_id`.
        truth: what it is evaluated against.
        form: what results are compared by: `segm` or `boundary` (each needs a mask), `bbox` or `masklet`.

    Raises:
        InputError: not such a list, or a result lacks a field, has a score that is no number, or belongs to an image,
            video or class that the truth lacks.
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
            raise InputError(f"result {number} has the score {score!r}", where=path, fix="give each result a number")
    _check_references(results, owner, owners, truth["categories"], path, noun="result")
    for number, result in enumerate(results):
        item = owners[result[owner]]
        if form == "masklet":
            result["segmentations"] = _masklet(result, item, path)
        elif form == "bbox":
            _check_box(result, number, path)
        else:
            result["segmentation"] = _mask(result, f"result {number}", item, path)
            if "bbox" in result:
                _check_box(result, number, path)
    return results


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_box(result: Json, number: int, path: Path) -> None:
    box = result.get("bbox")
    if not isinstance(box, list) or len(box) != BOX_NUMBERS or not all(map(_is_number, box)):
        raise InputError(f"result {number} has the box {box!r}", where=path, fix="give [x, y, width, height]")


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
            if not isinstance(item, dict) or "id" not in item:
                raise InputError(f"an entry of '{name}' has no id", where=path, fix=f"give a {kind} file")
    return dict(truth)


def _check_references(
    items: Sequence[Json], owner: str, owners: Json, categories: Sequence[Json], path: Path, noun: str = "annotation"
) -> None:
    """Check that each item belongs to something that is listed."""
    known = {category["id"] for category in categories}
    for number, item in enumerate(items):
        for field, listed in ((owner, owners.keys()), ("category_id", known)):
            if field not in item:
                raise InputError(f"{noun} {number} has no {field}", where=path, fix=f"give each {noun} a {field}")
            if item[field] not in listed:
                raise InputError(
                    f"{noun} {number} has the {field} {item[field]!r}, which the ground truth does not list",
                    where=path,
                    fix="check that both files are of one data set",
                )


def _complete(annotation: Json, image: Json, path: Path) -> None:
    """Give an annotation what it lacks of mask (as RLE), area and box; a box alone makes a mask of a rectangle."""
    what = f"annotation {annotation['id']}"
    if annotation.get("segmentation"):
        annotation["segmentation"] = _mask(annotation, what, image, path)
    elif isinstance(annotation.get("bbox"), list) and len(annotation["bbox"]) == BOX_NUMBERS:
        x, y, width, height = annotation["bbox"]
        corners = [x, y, x, y + height, x + width, y + height, x + width, y]
        annotation["segmentation"] = _mask({"segmentation": [corners]}, what, image, path)
    else:
        raise InputError(f"{what} has neither segmentation nor bbox", where=path, fix="give each annotation a mask")
    rle = annotation["segmentation"]
    if not _is_number(annotation.get("area")):
        annotation["area"] = float(coco_mask.area(rle))
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != BOX_NUMBERS or not all(map(_is_number, box)):
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
