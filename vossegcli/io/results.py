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


def read_instance_truth(path: Path) -> Json:
    """Read a COCO instances file: `images`, `annotations` (each with an area and a box) and `categories`.

    Raises:
        InputError: not such a file, or an annotation lacks what evaluation needs.
    """
    truth = _read_truth(path, "images", "COCO instances")
    sizes = {image["id"]: image for image in truth["images"]}
    for annotation in truth["annotations"]:
        annotation.setdefault("iscrowd", 0)
        _fill_from_mask(annotation, sizes.get(annotation.get("image_id")), path)
    _check_references(truth["annotations"], "image_id", sizes, truth["categories"], path)
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
        video = videos[annotation["video_id"]]
        height, width = (int(annotation.get(key, video.get(key, 0))) for key in ("height", "width"))
        annotation["segmentations"] = _masklet(annotation, height, width, path)
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
        if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
            raise InputError(f"result {number} has the score {score!r}", where=path, fix="give each result a number")
    _check_references(results, owner, owners, truth["categories"], path, noun="result")
    for number, result in enumerate(results):
        item = owners[result[owner]]
        if form == "masklet":
            result["segmentations"] = _masklet(result, int(item["height"]), int(item["width"]), path)
        elif form == "bbox":
            _check_box(result, number, path)
        else:
            result["segmentation"] = _mask(result, number, item, path)
    return results


def _check_box(result: Json, number: int, path: Path) -> None:
    box = result.get("bbox")
    if not isinstance(box, list) or len(box) != BOX_NUMBERS or not all(isinstance(v, int | float) for v in box):
        raise InputError(f"result {number} has the box {box!r}", where=path, fix="give [x, y, width, height]")


def _mask(result: Json, number: int, image: Json, path: Path) -> Json:
    """The mask of a result, checked against the size of its image."""
    height, width = int(image.get("height", 0)), int(image.get("width", 0))
    try:
        rle = compressed_rle(result["segmentation"], height, width)
        area = coco_mask.area(rle)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"result {number} has no mask that can be read ({error!r})",
            where=path,
            fix="give a segmentation (RLE or polygon), or evaluate --iou bbox",
        ) from error
    if [height, width] != rle["size"] or not 0 <= area <= height * width:
        raise InputError(
            f"result {number} has a mask of {rle['size'][1]}x{rle['size'][0]}, its image is {width}x{height}",
            where=path,
            fix="write masks at the size of the image",
        )
    return rle


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


def _fill_from_mask(annotation: Json, image: Json | None, path: Path) -> None:
    """Add area and box to an annotation that has a mask alone."""
    if image is None or {"area", "bbox"} <= annotation.keys() or "segmentation" not in annotation:
        if image is not None and not {"area", "bbox"} <= annotation.keys():
            raise InputError(
                f"annotation {annotation['id']} has neither a segmentation nor area and bbox",
                where=path,
                fix="give each annotation a segmentation",
            )
        return
    rle = compressed_rle(annotation["segmentation"], int(image["height"]), int(image["width"]))
    annotation.setdefault("area", float(coco_mask.area(rle)))
    annotation.setdefault("bbox", coco_mask.toBbox(rle).tolist())


def _masklet(annotation: Json, height: int, width: int, path: Path) -> list[Json | None]:
    segmentations = annotation.get("segmentations")
    if not isinstance(segmentations, list):
        raise InputError(
            f"a masklet of video {annotation.get('video_id')} has no list 'segmentations'",
            where=path,
            fix="give one RLE, polygon or null a frame",
        )
    try:
        return [compressed_rle(s, height, width) if s else None for s in segmentations]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"a segmentation of video {annotation.get('video_id')} is malformed ({error!r})",
            where=path,
            fix="give one RLE, polygon or null a frame",
        ) from error
