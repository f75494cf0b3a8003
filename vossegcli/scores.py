"""Frozen records of evaluation: scores, the areas they come from, and the problems of a prediction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FrameScores:
    """J and F of the objects of one frame.

    Attributes:
        by_id: object id -> (J, F), each in [0, 1], of every object that the truth or the prediction shows.
        truth_ids: the ids that the truth shows.
        predicted_ids: the ids that the prediction shows.
    """

    by_id: dict[int, tuple[float, float]]
    truth_ids: tuple[int, ...]
    predicted_ids: tuple[int, ...]


@dataclass(frozen=True)
class Statistics:
    """Statistics of one measure over the frames of an object.

    Attributes:
        mean: in [0, 1].
        recall: share of the frames above one half.
        decay: mean of the first quarter of the frames minus that of the last.
    """

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True)
class ObjectScores:
    """J and F of one object over the frames of its sequence that count.

    Attributes:
        sequence: name of the sequence.
        object_id: id in the ground truth.
        frames: names of the frames.
        j: J of each frame.
        f: F of each frame.
        j_statistics: over those frames.
        f_statistics: over those frames.
        variability: deviation of (J + F) / 2 over those frames, as LVOS measures it.
    """

    sequence: str
    object_id: int
    frames: tuple[str, ...]
    j: tuple[float, ...]
    f: tuple[float, ...]
    j_statistics: Statistics
    f_statistics: Statistics
    variability: float


@dataclass(frozen=True)
class Areas:
    """Pixels of a class, counted over one image or many.

    Attributes:
        both: predicted and true.
        only_predicted: predicted, not true.
        only_truth: true, not predicted.
        neither: background on both sides.
    """

    both: int
    only_predicted: int
    only_truth: int
    neither: int


@dataclass(frozen=True)
class ClassPrecision:
    """Average precision of one class; -1 where it has no ground truth.

    Attributes:
        category: id.
        name: of the class.
        count: objects in the ground truth, crowds left out.
        ap: over the IoU thresholds 0.50 to 0.95.
        ap50: at IoU 0.50.
        ap_small, ap_medium, ap_large: of objects of a size.
        ar: average recall.
    """

    category: int
    name: str
    count: int
    ap: float
    ap50: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar: float


@dataclass(frozen=True)
class AveragePrecision:
    """Result of a COCO evaluation; -1 stands for "no ground truth".

    Attributes:
        numbers: the twelve numbers by their official names.
        per_class: one row a class.
        thresholds: the T IoU thresholds.
        recalls: the R recall points.
        precisions: (T,R) precision at each, averaged over the classes.
    """

    numbers: dict[str, float]
    per_class: tuple[ClassPrecision, ...]
    thresholds: tuple[float, ...]
    recalls: tuple[float, ...]
    precisions: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a file that is evaluated.

    Attributes:
        kind: `missing`, `misshapen`, `unreadable`, `extra` or `unknown id`.
        sequence: name of the sequence, class or set that it belongs to.
        frame: name of the frame or image, or None for the whole sequence.
        detail: what exactly.
    """

    kind: str
    sequence: str
    frame: str | None
    detail: str

    @classmethod
    def misshapen(cls, sequence: str, frame: str | None, found: tuple[int, ...], truth: tuple[int, ...]) -> Problem:
        """Say that a predicted mask has another size (H,W) than the true one."""
        return cls("misshapen", sequence, frame, f"is {found[1]}x{found[0]}, the truth {truth[1]}x{truth[0]}")


@dataclass(frozen=True)
class VosScores:
    """Scores of a set of sequences.

    Attributes:
        protocol: by which frames were chosen.
        numbers: averages over the objects, by their official names.
        objects: in the order of the sequences.
        problems: of the prediction.
        frames: frames that were scored.
    """

    protocol: str
    numbers: dict[str, float]
    objects: tuple[ObjectScores, ...]
    problems: tuple[Problem, ...]
    frames: int


@dataclass(frozen=True)
class FewshotScores:
    """Scores of few-shot segmentation.

    Attributes:
        numbers: `mIoU` and `FB-IoU`, in [0, 1].
        per_class: IoU of each class, in [0, 1].
        areas: counts of each class.
        images: number of images of each class.
        confusion: (true class, predicted class) -> pixels, with `(background)`.
        problems: of the prediction.
    """

    numbers: dict[str, float]
    per_class: dict[str, float]
    areas: dict[str, Areas]
    images: dict[str, int]
    confusion: dict[tuple[str, str], int]
    problems: tuple[Problem, ...]
