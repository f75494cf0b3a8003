"""`vosseg evaluate instance` and `track`: result lists or label maps to average precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.datasets.coco_results import read_instance_truth, read_results, read_track_truth
from vossegcli.io.datasets.foreign_truths import is_coco_file, read_foreign_truth
from vossegcli.io.datasets.formats import is_annotation
from vossegcli.io.datasets.mask_pairs import common_names
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.mask_trees import find_label_maps
from vossegcli.io.records.json_files import read_record
from vossegcli.io.records.run_records import holds_masks_of_run
from vossegcli.io.results.rle import region_rle
from vossegcli.metrics.instance import instance_precision
from vossegcli.metrics.instance_maps import label_map_numbers, match_label_maps
from vossegcli.metrics.track import track_precision
from vossegcli.runners.evaluate.interpreted import Remark, remark_problems
from vossegcli.runners.evaluate.selection import Selection, select_maps, select_results, select_truth
from vossegcli.scores import AveragePrecision, Problem
from vossegcli.types import LabelMap
from vossegcli.wording import counted

FEWEST_DETS = 10
INSTANCES, TRACKS = "instances.json", "tracks.json"  # in the folder of a run
EVERYTHING = Selection({})


def evaluate_instance(
    results: Path, truth: Path, *, iou: str = "segm", max_dets: int = 100, selection: Selection = EVERYTHING
) -> tuple[AveragePrecision, list[Problem]]:
    """Score instances in images.

    Args:
        results: COCO results, or a folder of label maps or of a run.
        truth: COCO instances file, or a folder of label maps.
        iou: `segm`, `bbox` or `boundary`.
        max_dets: most results per image and class.
        selection: what of both counts.

    Raises:
        InputError: a file is malformed, or they do not belong together.
        ConfigError: `max_dets` is too small.
    """
    _check_max_dets(max_dets)
    foreign = is_annotation(truth) and not is_coco_file(truth) and not holds_masks_of_run(truth)
    if foreign or (truth.is_file() and (results / INSTANCES).is_file()):
        results = _list_of_results(results, INSTANCES)
    if not foreign and (results.is_dir() or truth.is_dir()):
        return evaluate_label_maps(results, truth, iou=iou, selection=selection)
    dataset = read_foreign_truth(truth, results, selection.folder) if foreign else read_instance_truth(truth, iou)
    chosen = select_truth(dataset, selection, "images")
    found = read_results(results, "image_id", dataset, iou)
    found, problems = select_results(found, dataset, chosen, selection, _classes_of(results), "images")
    problems += [Problem("note", truth.name, None, note) for note in chosen["notes"]]
    return instance_precision(chosen, found, iou, max_dets=max_dets), problems


def evaluate_track(
    results: Path, truth: Path, *, max_dets: int = 100, selection: Selection = EVERYTHING
) -> tuple[AveragePrecision, list[Problem]]:
    """Score instances in videos.

    Args:
        results: YouTube-VIS results, or the folder of a run.
        truth: YouTube-VIS file.
        max_dets: most results per video and class.
        selection: what of both counts.

    Raises:
        InputError: a file is malformed, or they do not belong together.
        ConfigError: `max_dets` is too small.
    """
    _check_max_dets(max_dets)
    results = _list_of_results(results, TRACKS)
    dataset = read_track_truth(truth)
    chosen = select_truth(dataset, selection, "videos")
    found = read_results(results, "video_id", dataset, "masklet")
    found, problems = select_results(found, dataset, chosen, selection, _classes_of(results), "videos")
    problems += [Problem("note", truth.name, None, note) for note in (*chosen["notes"], *_lengths(chosen, found))]
    return track_precision(chosen, found, max_dets=max_dets), problems


def _lengths(truth: dict[str, Any], found: list[dict[str, Any]]) -> list[str]:
    """Tell how many masklets are shorter or longer than their video."""
    frames = {video["id"]: len(video.get("file_names") or ()) or video.get("length") for video in truth["videos"]}
    known = {one["video_id"]: len(one["segmentations"]) for one in truth["annotations"]}
    wanted = {video: count or known.get(video) for video, count in frames.items()}
    other = sum(len(one["segmentations"]) != (wanted[one["video_id"]] or -1) for one in found)
    text = f"of {len(found)} results [is|are] shorter or longer than their video"
    return [f"{counted(other, text)}; frames that they lack count as frames without a mask"] if other else []


def evaluate_label_maps(
    predictions: Path, truth: Path, *, iou: str = "segm", selection: Selection = EVERYTHING
) -> tuple[AveragePrecision, list[Problem]]:
    """Score label maps of instances, matched by their paths: COCO's numbers, AP as TP/(TP+FP+FN), and PQ.

    Label maps have no scores: COCO's numbers are those of results that are all sure. An image without a prediction
    that can be used counts as empty.

    Args:
        predictions: folder of label maps, such as `masks` of `vosseg instance`, or a folder that has such `masks`.
        truth: folder of label maps.
        iou: `segm`, `bbox` or `boundary`, for COCO's numbers.
        selection: the images that count; label maps have no classes to choose from.

    Raises:
        InputError: one side is no folder or holds no label maps, or a true map cannot be read.
        ConfigError: classes are chosen or mapped.
    """
    if selection.names or selection.classes:
        option = "--map" if selection.names else "--classes"
        raise ConfigError("label maps of instances have no classes", where=option, fix="give COCO files, or leave it")
    ours, theirs = common_names(_maps_below(predictions), _maps_below(truth), truth)
    theirs, notes = select_maps(theirs, selection)
    if selection.images is not None:
        ours = {name: path for name, path in ours.items() if name in theirs}
    problems = [Problem("note", truth.name, None, note) for note in notes]
    matches = []
    remarks: list[tuple[str, Remark]] = []
    dataset: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "object"}]}
    results: list[dict[str, Any]] = []
    for number, (name, path) in enumerate(theirs.items(), start=1):
        true = read_label_map(path, allow_empty=True, repairable=False)
        ids = true.ids_map
        found, problem = _read_prediction(name, ours.get(name), (ids.shape[0], ids.shape[1]))
        predicted = found.ids_map
        problems += [] if problem is None else [problem]
        notes_of_sides = (("truth", true.note), ("prediction", found.note))
        remarks += [(name, Remark(side, note)) for side, note in notes_of_sides if note is not None]
        matches.append(match_label_maps(ids, predicted))
        dataset["images"].append({"id": number, "height": ids.shape[0], "width": ids.shape[1]})
        dataset["annotations"] += [
            {
                **one,
                "id": len(dataset["annotations"]) + k,
                "iscrowd": 0,
                "area": float(coco_mask.area(one["segmentation"])),
            }
            for k, one in enumerate(_instances(ids, number), start=1)
        ]
        results += [{**one, "score": 1.0} for one in _instances(predicted, number)]
    problems += [Problem("extra", name, None, "not in the ground truth") for name in ours if name not in theirs]
    problems += remark_problems(remarks, "image[|s]")
    scores = instance_precision(dataset, results, iou, max_dets=max([100, *(one.predictions for one in matches)]))
    return replace(scores, numbers={**label_map_numbers(matches), **scores.numbers}), problems


def _read_prediction(name: str, path: Path | None, size: tuple[int, int]) -> tuple[LabelMap, Problem | None]:
    """Read a predicted label map; an empty one and a problem where there is none of that size (H,W)."""
    empty = LabelMap(np.zeros(size, np.uint8), ())
    if path is None:
        return empty, Problem("missing", name, None, "no predicted label map")
    try:
        found = read_label_map(path, allow_empty=True, repairable=False)
    except InputError as error:
        return empty, Problem("unreadable", name, None, error.what)
    if found.ids_map.shape != size:
        return empty, Problem.misshapen(name, None, found.ids_map.shape, size)
    return found, None


def _instances(ids: Any, image: int) -> list[dict[str, Any]]:  # noqa: ANN401 - label map (H,W)
    """Describe the objects of a label map as COCO annotations."""
    from vossegcli.io.results.exports import shapes_of_ids  # loads scipy.ndimage, and label maps alone need it

    found = []
    for shape in shapes_of_ids(ids, {}):
        height, width = shape.mask.shape
        segmentation = region_rle(shape.mask, shape.top, shape.left, *ids.shape)
        box = [float(shape.left), float(shape.top), float(width), float(height)]
        found.append({"image_id": image, "category_id": 1, "segmentation": segmentation, "bbox": box})
    return found


def _maps_below(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        fix = "give two folders of label maps, or two JSON files"
        raise InputError("is not a folder of label maps", where=folder, fix=fix)
    return find_label_maps(folder)


def _list_of_results(results: Path, name: str) -> Path:
    """Give the list of results in the folder of a run; other paths stay.

    Raises:
        InputError: a folder without such a list.
    """
    if results.is_dir() and not (results / name).is_file():
        fix = "give a list of results, or the folder of a run that saved coco"
        raise InputError(f"is a folder without {name}", where=results, fix=fix)
    return results / name if results.is_dir() else results


def _classes_of(results: Path) -> dict[int, str]:
    """Names of the classes by id, from the `classes.json` beside results of ours; {} where there is none."""
    record = read_record(results.parent / "classes.json")
    return {int(key): str(name) for key, name in record.items() if key.isdecimal()}


def _check_max_dets(max_dets: int) -> None:
    if max_dets < FEWEST_DETS:
        raise ConfigError(f"max-dets is {max_dets}", fix=f"give at least {FEWEST_DETS}: AR1 and AR10 are reported too")
