"""`vosseg evaluate fewshot`: trees `<class>/<image>.png` to mIoU, FB-IoU and a confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.mask_trees import Encoding, Mask, encoding_of, find_mask_sequences, read_mask
from vossegcli.metrics import fewshot
from vossegcli.runners.evaluate_vos import faults_of_truth
from vossegcli.runners.pool import process_map
from vossegcli.types import Areas, FewshotScores, Problem

BACKGROUND = "(background)"
WORTH_PROCESSES = 200  # images; with fewer, processes take longer to start than to work
Confusion = Counter[tuple[str, str]]


@dataclass(frozen=True)
class _Truth:
    """A true mask: the class's pixels and those that count for nothing, (H,W) each."""

    objects: Mask
    void: Mask


@dataclass(frozen=True)
class ImageTask:
    """One image of one class.

    Attributes:
        name: of the class.
        image: name.
        truth: its true mask.
        prediction: its predicted mask, or None.
        others: true masks of the same image for other classes.
        encodings: what the values of the true masks of each class mean.
        predicted: what those of the class's predicted masks mean.
        ignore_label: value of the truth that counts for nothing; None = 255 where that is void.
    """

    name: str
    image: str
    truth: Path
    prediction: Path | None
    others: dict[str, Path]
    encodings: dict[str, Encoding]
    predicted: Encoding
    ignore_label: int | None


@dataclass(frozen=True)
class ImageResult:
    """What came of an image."""

    name: str
    areas: Areas
    confusion: Confusion
    problem: Problem | None = None
    fault_of_truth: str | None = None


def evaluate_fewshot(
    predictions: Path,
    truth: Path,
    *,
    ignore_label: int | None = None,
    workers: int = 1,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> FewshotScores:
    """Score predicted masks of one class each.

    Args:
        predictions: tree `<class>/<image>.png`; every value above 0 is the class.
        truth: likewise; matched by class and name.
        ignore_label: value of the truth that counts for nothing. None = 255, but in classes whose masks hold no
            other value beside 0: there 255 is the class.
        workers: processes.
        on_images: told (images done, images in all).

    Raises:
        InputError: a folder is not a tree of masks, nothing matches, or true masks cannot be read (all are named).
    """
    ours, theirs = find_mask_sequences(predictions), find_mask_sequences(truth)
    if not set(ours) & set(theirs):
        raise InputError(
            f"has the classes {', '.join(list(theirs)[:5])}; the prediction has {', '.join(list(ours)[:5])}",
            where=truth,
            fix="name the folders of both trees after the classes",
        )
    encodings = {name: encoding_of(images.values()) for name, images in theirs.items()}
    predicted = {name: encoding_of(ours.get(name, {}).values()) for name in theirs}
    tasks = [
        ImageTask(
            name, image, path, ours.get(name, {}).get(image),
            {other: theirs[other][image] for other in theirs if other != name and image in theirs[other]},
            encodings, predicted[name], ignore_label,
        )
        for name, images in theirs.items() for image, path in images.items()
    ]  # fmt: skip
    areas: dict[str, list[Areas]] = {name: [] for name in theirs}
    confusion: Confusion = Counter()
    problems = [Problem("extra", name, None, "not in the truth") for name in ours if name not in theirs]
    faults: list[str] = []
    with process_map(workers if len(tasks) >= WORTH_PROCESSES else 1) as run:
        for done, result in enumerate(run(score_image, tasks), start=1):
            areas[result.name].append(result.areas)
            confusion.update(result.confusion)
            problems += [] if result.problem is None else [result.problem]
            faults += [] if result.fault_of_truth is None else [result.fault_of_truth]
            on_images(done, len(tasks))
    if faults:
        raise faults_of_truth(list(dict.fromkeys(faults)), truth)
    summed = {name: fewshot.add_areas(counts) for name, counts in areas.items()}
    per_class = {name: fewshot.foreground_iou(counts) for name, counts in summed.items()}
    images_of = {name: len(counts) for name, counts in areas.items()}
    return FewshotScores(fewshot.summarise(summed), per_class, summed, images_of, dict(confusion), tuple(problems))


def score_image(task: ImageTask) -> ImageResult:
    """Read and score one image."""
    try:
        true = _read_truth(task.truth, task.encodings[task.name], task.ignore_label)
        others = {
            other: _read_truth(path, task.encodings[other], task.ignore_label).objects
            for other, path in task.others.items()
        }
    except InputError as error:
        return ImageResult(task.name, Areas(0, 0, 0, 0), Counter(), fault_of_truth=str(error))
    predicted, problem = _read_prediction(task, true.objects.shape)
    areas = fewshot.count_areas(predicted, true.objects, true.void)
    confusion: Confusion = Counter()
    _add_confusion(confusion, task.name, areas, predicted & ~true.objects & ~true.void, others)
    return ImageResult(task.name, areas, confusion, problem)


def _read_truth(path: Path, encoding: Encoding, ignore_label: int | None) -> _Truth:
    if ignore_label is None:
        ids_map, void = read_mask(path, encoding)
    else:
        ids_map, _ = read_mask(path, Encoding(inspected=encoding.inspected))
        void = ids_map == ignore_label
    nothing = np.zeros(ids_map.shape, np.bool_) if void is None else void
    return _Truth((ids_map > 0) & ~nothing, nothing)


def _read_prediction(task: ImageTask, shape: tuple[int, ...]) -> tuple[Mask, Problem | None]:
    """The predicted pixels; none of them and a problem where there is no mask of that size."""
    empty = np.zeros(shape, np.bool_)
    if task.prediction is None:
        return empty, Problem("missing", task.name, task.image, "no predicted mask")
    try:
        ids_map, _ = read_mask(task.prediction, task.predicted)
    except InputError as error:
        return empty, Problem("unreadable", task.name, task.image, error.what)
    if ids_map.shape != shape:
        detail = f"is {ids_map.shape[1]}x{ids_map.shape[0]}, the truth {shape[1]}x{shape[0]}"
        return empty, Problem("misshapen", task.name, task.image, detail)
    return ids_map > 0, None


def _add_confusion(confusion: Confusion, name: str, counts: Areas, wrong: Mask, others: dict[str, Mask]) -> None:
    """Add the pixels of one image: what was wrongly taken for the class, by what it is in the same image."""
    confusion[name, name] += counts.both
    confusion[name, BACKGROUND] += counts.only_truth
    confusion[BACKGROUND, BACKGROUND] += counts.neither
    left = counts.only_predicted
    for other, mask in others.items():
        if mask.shape == wrong.shape:
            taken = int(np.count_nonzero(wrong & mask))
            confusion[other, name] += taken
            left -= taken
            wrong = wrong & ~mask
    confusion[BACKGROUND, name] += left
