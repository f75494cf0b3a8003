"""The official metrics on files, as `vosseg evaluate` gives them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vossegcli.batch.processes import Processes
from vossegcli.given import given_names, given_path, optional_path
from vossegcli.runners.evaluate.run import EvaluateOptions, evaluate
from vossegcli.runners.evaluate.selection import Selection

File = str | Path
Report = dict[str, Any]


def evaluate_vos(
    predictions: File,
    truth: File,
    *,
    protocol: str = "davis",
    subset: str | None = None,
    frames: File | None = None,
    meta: File | None = None,
    unseen: File | None = None,
    output: File | None = None,
    compare: File | None = None,
    workers: int = 1,
) -> Report:
    """Measure J and F of video object segmentations.

    Args:
        predictions: folder of masks, or root of such folders.
        truth: the same of the ground truth.
        protocol: `davis`, `davis2016`, `mose`, `long-video`, `all-frames`, `youtube-vos` or `lvos`.
        subset: name of a list in the `ImageSets` of the truth, or a file of sequence names.
        frames: the frames, for the pictures of the report.
        meta: `meta.json` of `youtube-vos` or `lvos`; None = that of the truth.
        unseen: list of what is unseen in training, for the same two; None = as the data set says.
        output: folder for the report; None = write nothing.
        compare: `report.json` of another evaluation.
        workers: number of processes.

    Returns:
        what `report.json` holds: `numbers` by their official names, `per_object`, `problems`, `facts`.

    Raises:
        InputError: predictions, truth or report cannot be used.

    Examples:
        >>> import vossegcli
        >>> masks = "examples/bunny/masks"
        >>> vossegcli.evaluate_vos(masks, masks)["numbers"]["J&F-Mean"]
        1.0
    """
    return _evaluate(
        workers,
        "vos",
        predictions,
        truth,
        output,
        compare,
        protocol=protocol,
        subset=subset,
        frames=optional_path(frames),
        meta=optional_path(meta),
        unseen=optional_path(unseen),
    )


def evaluate_fewshot(
    predictions: File,
    truth: File,
    *,
    ignore_label: int | None = None,
    images: Collection[str] | None = None,
    output: File | None = None,
    compare: File | None = None,
    workers: int = 1,
) -> Report:
    """Measure mIoU and FB-IoU of few-shot segmentations.

    Args:
        predictions: tree `<class>/<image>.png`.
        truth: the same of the ground truth.
        ignore_label: value of the truth that counts for nothing; None = 255 where masks hold other values too.
        images: names of the images that count; None = all.
        output: folder for the report; None = write nothing.
        compare: `report.json` of another evaluation.
        workers: number of processes.

    Returns:
        what `report.json` holds: `numbers`, `per_class`, `areas`, `confusion`, `problems`, `facts`.

    Raises:
        InputError: predictions, truth or report cannot be used.

    Examples:
        >>> import vossegcli
        >>> report = vossegcli.evaluate_fewshot("classes", "classes-gt")
        >>> sorted(report["numbers"])
        ['FB-IoU', 'mIoU']
    """
    selection = Selection({}, images=None if images is None else frozenset(given_names(images)))
    return _evaluate(
        workers, "fewshot", predictions, truth, output, compare, ignore_label=ignore_label, selection=selection
    )


def evaluate_instance(
    results: File,
    truth: File,
    *,
    iou: str = "segm",
    max_dets: int = 100,
    names: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    images: Collection[str] | None = None,
    class_agnostic: bool = False,
    output: File | None = None,
    compare: File | None = None,
) -> Report:
    """Measure COCO AP of instances.

    Args:
        results: file of COCO results, or folder of label maps.
        truth: COCO instances file, or folder of label maps.
        iou: compare masks (`segm`), boxes (`bbox`) or boundaries (`boundary`).
        max_dets: maximum results per image and class.
        names: class of the results -> class of the truth, where they differ.
        classes: names of the truth's classes that count; none = all.
        images: names of the images or videos that count; None = all.
        class_agnostic: compare without regard to classes.
        output: folder for the report; None = write nothing.
        compare: `report.json` of another evaluation.

    Returns:
        what `report.json` holds: `numbers`, `per_class`, `curves`, `facts`.

    Raises:
        InputError: results, truth or report cannot be used.

    Examples:
        >>> import vossegcli
        >>> vossegcli.evaluate_instance("results.json", "coco.json")["numbers"]["AP"]
        0.0
    """
    selection = _selection(names, classes, images, class_agnostic=class_agnostic)
    return _evaluate(1, "instance", results, truth, output, compare, iou=iou, max_dets=max_dets, selection=selection)


def evaluate_track(
    results: File,
    truth: File,
    *,
    max_dets: int = 100,
    names: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    images: Collection[str] | None = None,
    class_agnostic: bool = False,
    output: File | None = None,
    compare: File | None = None,
) -> Report:
    """Measure YouTube-VIS AP of tracks.

    Args:
        results: file of YouTube-VIS results.
        truth: YouTube-VIS file.
        max_dets: maximum results per video and class.
        names: class of the results -> class of the truth, where they differ.
        classes: names of the truth's classes that count; none = all.
        images: names of the images or videos that count; None = all.
        class_agnostic: compare without regard to classes.
        output: folder for the report; None = write nothing.
        compare: `report.json` of another evaluation.

    Returns:
        what `report.json` holds: `numbers`, `per_class`, `curves`, `facts`.

    Raises:
        InputError: results, truth or report cannot be used.

    Examples:
        >>> import vossegcli
        >>> vossegcli.evaluate_track("tracks.json", "ytvis.json")["numbers"]["AP"]
        0.0
    """
    selection = _selection(names, classes, images, class_agnostic=class_agnostic)
    return _evaluate(1, "track", results, truth, output, compare, max_dets=max_dets, selection=selection)


def _selection(
    names: Mapping[str, str] | None, classes: Sequence[str], images: Collection[str] | None, *, class_agnostic: bool
) -> Selection:
    listed = None if images is None else frozenset(given_names(images))
    return Selection(names or {}, given_names(classes), listed, class_agnostic)


def _evaluate(
    workers: int, task: str, predictions: File, truth: File, output: File | None, compare: File | None, **more: Any
) -> Report:
    options = EvaluateOptions(
        task,
        given_path(predictions),
        given_path(truth),
        optional_path(output),
        optional_path(compare),
        command="vossegcli",
        **more,
    )
    report = evaluate(options, executor=Processes(workers))
    assert isinstance(report, dict)  # only a shard waits for others
    return report
