"""`vosseg evaluate fewshot`: class trees or label maps to mIoU, FB-IoU and a confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.masks import two_levels
from vossegcli.io.masks.mask_trees import (
    Encoding,
    IdsMap,
    Mask,
    encoding_of,
    read_mask,
)
from vossegcli.metrics import fewshot
from vossegcli.runners.evaluate.class_masks import CLASSES, ClassMask, find_class_masks, only_images
from vossegcli.runners.evaluate.interpreted import VOID_NOTE, Remark, remark_problems
from vossegcli.runners.evaluate.parts import Scoring
from vossegcli.runners.evaluate.vos import faults_of_truth
from vossegcli.scores import Areas, FewshotScores, Problem

BACKGROUND = "(background)"
WORTH_PROCESSES = 200  # images; with fewer, processes take longer to start than to work
Confusion = Counter[tuple[str, str]]


@dataclass(frozen=True)
class _Truth:
    """A true mask: the class's pixels and those that count for nothing, (H,W) each; whether it was cut at half."""

    objects: Mask
    void: Mask
    soft: bool = False


@dataclass(frozen=True)
class ImagePair:
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
    truth: ClassMask
    prediction: ClassMask | None
    others: dict[str, ClassMask]
    encodings: dict[str, Encoding]
    predicted: Encoding
    ignore_label: int | None


@dataclass(frozen=True)
class ImageResult:
    """The result of an image."""

    name: str
    areas: Areas
    confusion: Confusion
    problem: Problem | None = None
    fault_of_truth: str | None = None
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class FewshotPlan:
    """The plan of an evaluation.

    Attributes:
        truth: folder of the true masks.
        classes: names, in order.
        pairs: in the order of classes and images.
        problems: classes that the truth lacks.
    """

    truth: Path
    classes: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    problems: tuple[Problem, ...]


def plan_fewshot(
    predictions: Path, truth: Path, *, ignore_label: int | None = None, images: Collection[str] | None = None
) -> FewshotPlan:
    """Match predicted masks of one class each with true ones.

    Args:
        predictions: tree `<class>/<image>.png`, where every value above 0 is the class; or label maps, as `vosseg
            fewshot` writes them to `masks`, with a `classes.json` that names their ids.
        truth: likewise; matched by class and name.
        ignore_label: value of the truth that counts for nothing. None = 255, but in classes whose masks hold no
            other value beside 0: there 255 is the class.
        images: names of the images that count, with or without suffix; None = all.

    Raises:
        InputError: a folder is not a tree of masks, or nothing matches.
    """
    ours, theirs = find_class_masks(predictions), only_images(find_class_masks(truth), images)
    if not set(ours) & set(theirs):
        raise InputError(
            f"has the classes {', '.join(list(theirs)[:5])}; the prediction has {', '.join(list(ours)[:5])}",
            where=truth,
            fix=f"name the folders of both trees after the classes, or put {CLASSES} beside label maps",
        )
    encodings = {name: _encoding_of(images) for name, images in theirs.items()}
    predicted = {name: _encoding_of(ours.get(name, {})) for name in theirs}
    pairs = tuple(
        ImagePair(
            name, image, path, ours.get(name, {}).get(image),
            {other: theirs[other][image] for other in theirs if other != name and image in theirs[other]},
            encodings, predicted[name], ignore_label,
        )
        for name, images in theirs.items() for image, path in images.items()
    )  # fmt: skip
    problems = tuple(Problem("extra", name, None, "not in the truth") for name in ours if name not in theirs)
    return FewshotPlan(truth, tuple(theirs), pairs, problems)


def _encoding_of(images: dict[str, ClassMask]) -> Encoding:
    """Find out what the values of a class's own masks mean; ids of label maps are taken as they are."""
    alone = [mask.path for mask in images.values() if mask.object_id is None]
    return encoding_of(alone) if alone else Encoding()


def fewshot_scoring(plan: FewshotPlan) -> Scoring[ImagePair, ImageResult]:
    """Return the jobs of a plan and how they are scored."""
    return Scoring(
        plan.pairs, score_image, item=lambda pair: f"{pair.name}/{pair.image}", size=lambda _: 1, files=_files,
        pack=_pack, unpack=_unpack, few=WORTH_PROCESSES,
    )  # fmt: skip


def conclude_fewshot(plan: FewshotPlan, results: Sequence[ImageResult]) -> FewshotScores:
    """Sum up the results of all pairs of a plan, in order.

    Raises:
        InputError: true masks cannot be read (all are named).
    """
    faults = [result.fault_of_truth for result in results if result.fault_of_truth is not None]
    if faults:
        raise faults_of_truth(list(dict.fromkeys(faults)), plan.truth)
    areas: dict[str, list[Areas]] = {name: [] for name in plan.classes}
    confusion: Confusion = Counter()
    for result in results:
        areas[result.name].append(result.areas)
        confusion.update(result.confusion)
    told = [result.problem for result in results if result.problem is not None]
    told += remark_problems(((r.name, remark) for r in results for remark in r.remarks), "class[|es]")
    problems = (*plan.problems, *told)
    summed = {name: fewshot.add_areas(counts) for name, counts in areas.items()}
    per_class = {name: fewshot.foreground_iou(counts) for name, counts in summed.items()}
    images_of = {name: len(counts) for name, counts in areas.items()}
    return FewshotScores(fewshot.summarise(summed), per_class, summed, images_of, dict(confusion), problems)


def _files(pair: ImagePair) -> list[Path]:
    return [mask.path for mask in (pair.truth, pair.prediction, *pair.others.values()) if mask is not None]


def _pack(result: ImageResult) -> dict[str, Any]:
    row = asdict(replace(result, confusion=Counter()))
    return {**row, "confusion": [[*pair, pixels] for pair, pixels in result.confusion.items()]}


def _unpack(row: dict[str, Any]) -> ImageResult:
    confusion = Counter({(true, said): pixels for true, said, pixels in row["confusion"]})
    problem = row["problem"] and Problem(**row["problem"])
    remarks = tuple(Remark(*remark) for remark in row["remarks"])
    return ImageResult(row["name"], Areas(**row["areas"]), confusion, problem, row["fault_of_truth"], remarks)


def score_image(pair: ImagePair) -> ImageResult:
    """Read and score one image."""
    try:
        true = _read_truth(pair.truth, pair.encodings[pair.name], pair.ignore_label)
        others = {
            other: _read_truth(path, pair.encodings[other], pair.ignore_label).objects
            for other, path in pair.others.items()
        }
    except InputError as error:
        return ImageResult(pair.name, Areas(0, 0, 0, 0), Counter(), fault_of_truth=str(error))
    predicted, problem = _read_prediction(pair, true.objects.shape)
    if true.soft:
        problem = problem or Problem("note", pair.name, pair.image, f"truth: {two_levels.NOTE}")
    areas = fewshot.count_areas(predicted, true.objects, true.void)
    confusion: Confusion = Counter()
    _add_confusion(confusion, pair.name, areas, predicted & ~true.objects & ~true.void, others)
    remarks = (Remark("truth", VOID_NOTE),) if pair.ignore_label is None and true.void.any() else ()
    return ImageResult(pair.name, areas, confusion, problem, remarks=remarks)


def _read_truth(mask: ClassMask, encoding: Encoding, ignore_label: int | None) -> _Truth:
    try:
        if ignore_label is None:
            ids_map, void, _ = read_mask(mask.path, encoding)
        else:
            ids_map = read_mask(mask.path, Encoding(inspected=encoding.inspected)).ids_map
            void = ids_map == ignore_label
    except InputError:
        cut = two_levels.cut_at_half(mask.path)
        if cut is None or mask.object_id is not None:
            raise
        return _Truth(cut, np.zeros(cut.shape, np.bool_), soft=True)
    nothing = np.zeros(ids_map.shape, np.bool_) if void is None else void
    return _Truth(_pixels_of(mask, ids_map) & ~nothing, nothing)


def _pixels_of(mask: ClassMask, ids_map: IdsMap) -> Mask:
    found: Mask = ids_map > 0 if mask.object_id is None else ids_map == mask.object_id
    return found


def _read_prediction(pair: ImagePair, shape: tuple[int, ...]) -> tuple[Mask, Problem | None]:
    """The predicted pixels; none of them and a problem where there is no mask of that size."""
    empty = np.zeros(shape, np.bool_)
    mask = pair.prediction
    if mask is None:
        return empty, Problem("missing", pair.name, pair.image, "no predicted mask")
    try:
        predicted, soft = two_levels.read_one_thing(
            mask.path, lambda path: _pixels_of(mask, read_mask(path, pair.predicted).ids_map)
        )
    except InputError as error:
        return empty, Problem("unreadable", pair.name, pair.image, error.what)
    if predicted.shape != shape:
        return empty, Problem.misshapen(pair.name, pair.image, predicted.shape, shape)
    return predicted, Problem("note", pair.name, pair.image, f"prediction: {two_levels.NOTE}") if soft else None


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
