"""Video object segmentation: J and F per object and frame, and their statistics (Pont-Tuset et al., 2017).

Equal to davis2017-evaluation where that is right. Where it breaks, this is what holds instead:

* The objects of a sequence are the ids of its ground truth, whatever their numbers and wherever they first appear
  (official: 1 to the greatest id of the first frame, so that gaps are scored as perfect and late objects not at all).
* An object counts in every frame of the protocol. Where neither prediction nor truth has it, J = F = 1, as officially.
* Decay is right for more than 256 frames (official: indices overflow).
* Void pixels (255) belong to nobody: they are left out of both masks.
* Two frames leave one to score, the second (official: none).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vossegcli.metrics.boundaries import contour_accuracy, tolerance
from vossegcli.metrics.regions import Box, IdsMap, Mask, jaccard, object_boxes
from vossegcli.scores import FrameScores, ObjectScores, Statistics

DECAY_BINS = 4
RECALL_ABOVE = 0.5
ABSENT = (1.0, 1.0)

#: Protocol -> how many frames with ground truth are left out at the start and at the end of each sequence.
LEFT_OUT: Mapping[str, tuple[int, int]] = {
    "davis": (1, 1),
    "davis2016": (1, 1),
    "mose": (1, 1),
    "long-video": (1, 0),
    "all-frames": (0, 0),
}


def scored_frames(count: int, protocol: str) -> range:
    """Indices of the frames with ground truth that a protocol scores, of `count`.

    The given first frame never counts but in `all-frames`; the last one only where that leaves a frame to score.
    """
    first, last = LEFT_OUT[protocol]
    return range(first, count - last) if count > first + last else range(first, count)


def score_frame(predicted: IdsMap, truth: IdsMap, void: Mask | None = None) -> FrameScores:
    """J and F of every object that a frame shows.

    Args:
        predicted: (H,W) object ids.
        truth: (H,W) object ids.
        void: (H,W) pixels that belong to nobody, or None.

    Returns:
        the scores by id, also of ids that only the prediction has (J = F = 0).

    Raises:
        ValueError: the label maps differ in size.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"label maps of {predicted.shape} and {truth.shape}")
    if void is not None:
        predicted, truth = np.where(void, 0, predicted), np.where(void, 0, truth)
    radius = tolerance(*truth.shape)
    ours, theirs = object_boxes(predicted), object_boxes(truth)
    scores = {}
    for object_id in ours | theirs:
        if object_id in ours and object_id in theirs:
            box = ours[object_id].joined(theirs[object_id])
            scores[object_id] = _score_object(predicted, truth, object_id, box, radius)
        else:
            scores[object_id] = (0.0, _one_sided_f(predicted, truth, object_id))
    return FrameScores(scores, tuple(theirs), tuple(ours))


def _score_object(predicted: IdsMap, truth: IdsMap, object_id: int, box: Box, radius: int) -> tuple[float, float]:
    """J and F of one object, looked at where it is: nothing farther than the radius from it matters."""
    window = box.grown(radius + 1, *truth.shape).slices
    a, b = predicted[window] == object_id, truth[window] == object_id
    return jaccard(a, b), contour_accuracy(a, b, radius)


def _one_sided_f(predicted: IdsMap, truth: IdsMap, object_id: int) -> float:
    """F of an object that one side lacks: 0, but 1 where it fills the image and thus has no outline either."""
    return float(bool((predicted == object_id).all() or (truth == object_id).all()))


def score_object(sequence: str, object_id: int, frames: Sequence[tuple[str, FrameScores]]) -> ObjectScores:
    """Gather the scores of one object over the frames of its sequence.

    Args:
        sequence: its name.
        object_id: id in the ground truth.
        frames: (name, scores) of the frames that count, in order; at least one.
    """
    pairs = [scores.by_id.get(object_id, ABSENT) for _, scores in frames]
    j, f = (tuple(pair[k] for pair in pairs) for k in (0, 1))
    names = tuple(name for name, _ in frames)
    return ObjectScores(sequence, object_id, names, j, f, statistics(j), statistics(f), variability(j, f))


def statistics(values: Sequence[float]) -> Statistics:
    """Mean, recall (share above 0.5) and decay (first quarter's mean minus the last's) over the frames of an object."""
    scores: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    cuts = np.round(np.linspace(1, len(scores), DECAY_BINS + 1) + 1e-10).astype(np.int64) - 1
    first, last = scores[cuts[0] : cuts[1] + 1], scores[cuts[-2] : cuts[-1] + 1]  # neighbours share a frame
    return Statistics(
        mean=float(scores.mean()),
        recall=float((scores > RECALL_ABOVE).mean()),
        decay=float(first.mean() - last.mean()),
    )


def summarise(objects: Sequence[ObjectScores]) -> dict[str, float]:
    """Average over objects, each of the same weight, under the official names."""
    values = {
        f"{letter}-{name}": float(
            np.mean([getattr(getattr(o, letter.lower() + "_statistics"), name.lower()) for o in objects])
        )
        for letter in "JF"
        for name in ("Mean", "Recall", "Decay")
    }
    return {"J&F-Mean": 0.5 * (values["J-Mean"] + values["F-Mean"]), **values}


def summarise_seen(
    objects: Sequence[ObjectScores], unseen: Collection[tuple[str, int]], protocol: str
) -> dict[str, float]:
    """Average over the objects that are seen in training and over the others, as YouTube-VOS and LVOS do.

    Args:
        objects: at least one.
        unseen: (sequence, id) of the unseen ones.
        protocol: `youtube-vos`: `G` is the mean of J and F of both kinds. `lvos`: likewise under the names of
            lvos-evaluation, where each number is the mean of both kinds, and with the variability V.

    Returns:
        the numbers by name; means of both kinds only where there are objects of both.
    """
    kinds = {
        "seen": [one for one in objects if (one.sequence, one.object_id) not in unseen],
        "unseen": [one for one in objects if (one.sequence, one.object_id) in unseen],
    }
    values = {
        f"{letter}-{kind}-Mean": float(np.mean([_MEANS[letter](one) for one in members]))
        for letter in ("JFV" if protocol == "lvos" else "JF")
        for kind, members in kinds.items()
        if members
    }
    both = all(kinds.values())
    total = float(np.mean([value for name, value in values.items() if name[0] in "JF"]))
    if protocol == "youtube-vos":
        return {**({"G": total} if both else {}), **values, **summarise(objects)}
    means = {f"{k}-Mean": float(np.mean([values[f"{k}-seen-Mean"], values[f"{k}-unseen-Mean"]])) for k in "JFV" if both}
    rows = ((name, {**means, **values}.get(name)) for name in LVOS_NUMBERS)
    return {**({"J&F-Mean": total} if both else {}), **{name: value for name, value in rows if value is not None}}


def variability(j: Sequence[float], f: Sequence[float]) -> float:
    """Deviation of (J + F) / 2 over the frames of an object; its square is rounded to 4 digits, as in lvos-evaluation.

    Paper: Hong et al., LVOS (2023).
    """
    means = (np.asarray(j, np.float64) + np.asarray(f, np.float64)) / 2
    return math.sqrt(round(float(np.mean((means.mean() - means) ** 2)), 4))


#: Numbers of lvos-evaluation, beside `J&F-Mean`, in its order.
LVOS_NUMBERS = tuple(f"{letter}-{kind}Mean" for letter in "JFV" for kind in ("", "seen-", "unseen-"))
_MEANS: Mapping[str, Callable[[ObjectScores], float]] = {
    "J": lambda one: one.j_statistics.mean,
    "F": lambda one: one.f_statistics.mean,
    "V": lambda one: one.variability,
}
