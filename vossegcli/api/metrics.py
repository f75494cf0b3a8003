"""The metrics as functions on arrays. Shapes: N instances of an image, H W pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vossegcli.metrics import fewshot, vos
from vossegcli.metrics import regions as _regions
from vossegcli.metrics.boundaries import contour_accuracy, tolerance
from vossegcli.metrics.instance import instance_precision

Array = npt.NDArray[Any]

_AXES = 2  # of a mask


def jaccard(predicted: Array, truth: Array) -> float:
    """Measure the IoU (J) of two masks (H,W); 1 where both are empty.

    Examples:
        >>> import numpy as np
        >>> import vossegcli
        >>> truth = np.zeros((8, 8), bool); truth[2:6, 2:6] = True
        >>> vossegcli.jaccard(truth[:, ::-1], truth)
        1.0
    """
    ours, theirs = _checked(predicted, truth)
    return _regions.jaccard(ours > 0, theirs > 0)


def boundary_f(predicted: Array, truth: Array, radius: int | None = None) -> float:
    """Measure the boundary F of two masks (H,W), as DAVIS does; 1 where neither has an outline.

    Args:
        predicted: (H,W), above 0 = the object.
        truth: (H,W), likewise.
        radius: distance in pixels at which outlines still match; None = 0.008 of the diagonal.

    Examples:
        >>> import numpy as np
        >>> import vossegcli
        >>> truth = np.zeros((8, 8), bool); truth[2:6, 2:6] = True
        >>> vossegcli.boundary_f(np.zeros((8, 8), bool), truth)
        0.0
    """
    ours, theirs = _checked(predicted, truth)
    return contour_accuracy(ours > 0, theirs > 0, tolerance(*theirs.shape) if radius is None else radius)


def j_and_f(
    predicted: Sequence[Array], truth: Sequence[Array], *, protocol: str = "all-frames", void: int | None = 255
) -> dict[str, Any]:
    """Measure J and F of the objects of one sequence.

    Args:
        predicted: label maps (H,W) of the frames, in order.
        truth: likewise.
        protocol: which frames count: `davis`, `davis2016`, `long-video` or `all-frames`.
        void: id of the truth that counts for nothing, or None.

    Returns:
        the numbers by their official names, and `per_object`: id -> `J-Mean` and `F-Mean`.

    Examples:
        >>> import numpy as np
        >>> import vossegcli
        >>> frame = np.zeros((8, 8), np.uint8); frame[2:6, 2:6] = 1
        >>> vossegcli.j_and_f([frame, frame], [frame, np.zeros_like(frame)])["J-Mean"]
        0.5
    """
    predicted, truth = list(predicted), list(truth)
    if len(predicted) != len(truth):
        raise ValueError(f"{len(predicted)} predicted and {len(truth)} true frames")
    frames = []
    for index in vos.scored_frames(len(truth), protocol):
        ours, theirs = _checked(predicted[index], truth[index])
        empty = None if void is None else theirs == void
        frames.append((str(index), vos.score_frame(ours, theirs, empty)))
    ids = {int(i) for labels in truth for i in np.unique(labels)} - {0, void}
    objects = [vos.score_object("", object_id, frames) for object_id in sorted(ids)]
    if not objects:
        raise ValueError("the truth shows no object")
    per_object = {o.object_id: {"J-Mean": o.j_statistics.mean, "F-Mean": o.f_statistics.mean} for o in objects}
    return {**vos.summarise(objects), "per_object": per_object}


def mean_iou(
    predicted: Mapping[str, Sequence[Array]], truth: Mapping[str, Sequence[Array]], *, void: int | None = 255
) -> dict[str, Any]:
    """Measure mIoU and FB-IoU of few-shot segmentations, accumulated over the images of each class.

    Args:
        predicted: class -> masks (H,W), above 0 = the class.
        truth: likewise.
        void: value of the truth that counts for nothing, or None.

    Returns:
        `mIoU`, `FB-IoU` and `per_class`.

    Examples:
        >>> import numpy as np
        >>> import vossegcli
        >>> masks = {"cat": [np.eye(4, dtype=np.uint8)]}
        >>> vossegcli.mean_iou(masks, masks)["mIoU"]
        1.0
    """
    areas = {}
    for name, masks in truth.items():
        if name not in predicted:
            raise ValueError(f"no masks of class '{name}' are predicted")
        pairs = [_checked(a, b) for a, b in zip(predicted[name], masks, strict=True)]
        if (
            void is not None
            and not any(((b > 0) & (b != void)).any() for _, b in pairs)
            and any((b == void).any() for _, b in pairs)
        ):
            raise ValueError(
                f"the truth of '{name}' holds {void} alone, which is void: give void=None if it is the class"
            )
        counts = [
            fewshot.count_areas(a > 0, (b > 0) & (b != void), None if void is None else b == void) for a, b in pairs
        ]
        areas[name] = fewshot.add_areas(counts)
    per_class = {name: fewshot.foreground_iou(area) for name, area in areas.items()}
    return {**fewshot.summarise(areas), "per_class": per_class}


def average_precision(
    predicted: Sequence[Mapping[str, Array]], truth: Sequence[Mapping[str, Array]], *, iou: str = "segm",
    max_dets: int = 100,
) -> dict[str, float]:  # fmt: skip
    """Measure COCO AP of the instances of images.

    Args:
        predicted: of each image `masks` (N,H,W), `scores` (N,) and, if there are several classes, `labels` (N,).
        truth: of each image `masks` (N,H,W) and `labels` (N,), likewise.
        iou: compare masks (`segm`), boxes (`bbox`) or boundaries (`boundary`).
        max_dets: maximum results per image and class, at least 10.

    Returns:
        the twelve numbers by their official names; -1 where there is no truth.

    Examples:
        >>> import numpy as np
        >>> import vossegcli
        >>> masks = np.zeros((1, 64, 64), bool); masks[0, 10:40, 10:40] = True
        >>> found = vossegcli.average_precision([{"masks": masks, "scores": np.array([0.9])}], [{"masks": masks}])
        >>> round(found["AP"], 3)
        1.0
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, (ours, theirs) in enumerate(zip(predicted, truth, strict=True), start=1):
        shapes = np.shape(ours["masks"]), np.shape(theirs["masks"])
        if {len(shape) for shape in shapes} != {_AXES + 1} or shapes[0][1:] != shapes[1][1:]:
            raise ValueError(f"masks of {shapes[0]} and {shapes[1]}: give (N,H,W) of one size")
        height, width = shapes[1][1:]
        images.append({"id": number, "height": int(height), "width": int(width)})
        annotations += _entries(number, theirs, first=len(annotations) + 1)
        scores = np.asarray(ours["scores"], np.float64)
        results += [
            {**entry, "score": float(score)}
            for entry, score in zip(_entries(number, ours, first=1), scores, strict=True)
        ]
    for result in results:
        del result["id"], result["iscrowd"]
        if iou != "bbox":
            del result["bbox"]
    categories = [{"id": k, "name": str(k)} for k in sorted({a["category_id"] for a in annotations})]
    dataset = {"images": images, "annotations": annotations, "categories": categories}
    return instance_precision(dataset, results, iou, max_dets=max_dets).numbers


def _entries(image: int, shown: Mapping[str, Array], *, first: int) -> list[dict[str, Any]]:
    """The instances of an image as COCO annotations."""
    masks = _whole(np.asarray(shown["masks"])) > 0
    labels = np.asarray(shown.get("labels", np.zeros(len(masks), np.int64)))
    entries = []
    for number, (mask, label) in enumerate(zip(masks, labels, strict=True), start=first):
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        entries.append({
            "id": number, "image_id": image, "category_id": int(label) + 1, "segmentation": rle, "iscrowd": 0,
            "area": float(coco_mask.area(rle)), "bbox": coco_mask.toBbox(rle).tolist(),
        })  # fmt: skip
    return entries


def _checked(predicted: Array, truth: Array) -> tuple[Array, Array]:
    """Give two masks or label maps as arrays.

    Raises:
        ValueError: they are not (H,W) of one size, or hold fractions.
    """
    ours, theirs = np.asarray(predicted), np.asarray(truth)
    if ours.shape != theirs.shape or ours.ndim != _AXES:
        raise ValueError(f"masks of {ours.shape} and {theirs.shape}: give (H,W) of one size")
    return _whole(ours), _whole(theirs)


def _whole(masks: Array) -> Array:
    """Return masks that hold whole numbers.

    Raises:
        ValueError: they do not, as probabilities do not: every pixel would count.
    """
    if masks.dtype.kind == "f" and (masks != np.floor(masks)).any():
        raise ValueError("masks hold fractions: compare probabilities with a threshold first")
    return masks
