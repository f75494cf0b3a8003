"""Real videos to choose weights by: mean J of checkpoints beside a floor and a training-free baseline, in one run.

    python benchmarks/selection.py DATA/video [CHECKPOINT ...] [--frames 24] [--size 480] [--sequences caps,chair]

DATA/video holds the sequences named in `SEQUENCES`, each with `frames/` and `masks/` (any subset of the frames); the
bunny of `examples/` is added. Objects count from the frame after their first mask on, the mean is over sequences. The
floor copies each object's first mask; the baseline copies labels by nearest features (`nearest_features.py`). Nothing
is adapted. `--hard` adds sequences in which masks fail (`hard_videos.py`), to fit and measure the score. `--frames`
looks at the first frames of each sequence alone, but windows take theirs from all of it. The row "score" is the area
under the ROC curve of the score in confidence.csv for "J < 0.5", and "review" the share of the masks with less and with
more that confidence.csv marks for review. `--fit-score` prints the weights of the score that logistic regression gives
on these videos (a video counts the same whatever its length), and the area under the ROC curve of each video with
weights fitted to all others.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from hard_videos import Video, growing, read_video, shrinking, with_a_cut
from nearest_features import NearestFeatures
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from scipy.stats import mannwhitneyu

from vossegcli.metrics.regions import region_similarity
from vossegcli.models.chosen_model import choose_model
from vossegcli.ops.images import image_tensor
from vossegcli.runners.propagate.confidence import area_jump, confidence_rows, mark_reviews
from vossegcli.systems.base import Segmentation

SEQUENCES = ("caps", "chair", "desk_a1", "desk_a3", "desk_a5", "desk_a7", "desk_a9", "ycb_0000", "ycb_0001", "ycb_0002")
BUNNY = Path(__file__).parents[1] / "examples" / "bunny"
BAD = 0.5
RIDGE = 1e-3
FLOOR, BASELINE = "first mask", "nearest features"


class CopiedMasks:
    """The floor: every object stays where it was marked."""

    def __init__(self) -> None:
        self.label_map = torch.zeros(0)

    def start(self, frame: torch.Tensor, label_map: torch.Tensor) -> None:  # noqa: ARG002
        """Begin with an annotated frame."""
        self.label_map = label_map

    def add_objects(self, frame: torch.Tensor, label_map: torch.Tensor) -> None:  # noqa: ARG002
        """Add objects."""
        self.label_map = torch.where(label_map > 0, label_map, self.label_map)

    def step(self, frame: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Segment the next frame."""
        return self.label_map


class Rated(NamedTuple):
    """A mask: its score and whether a person should look at it, and its J."""

    score: float
    review: bool
    j: float


@dataclass(frozen=True)
class Followed:
    """What came of a video: (frame, object, J) where there is a mask, and rows as in confidence.csv of all frames."""

    scores: list[tuple[int, int, float]]
    rows: list[dict[str, Any]]

    @property
    def mean(self) -> float:
        """Mean J."""
        return float(np.mean([j for _, _, j in self.scores]))

    def rated(self) -> list[Rated]:
        """What confidence.csv says of each frame and object that has a mask."""
        rows = {(row["index"], row["object"]): row for row in mark_reviews(self.rows)}
        found = ((rows[frame, own], j) for frame, own, j in self.scores if (frame, own) in rows)
        return [Rated(row["score"], row["review"] == "yes", j) for row, j in found]


def follow(video: Video, method: Any) -> Followed:  # noqa: ANN401 - a predictor or one of the two baselines
    """Follow all objects of a video from their first masks."""
    known: tuple[int, ...] = ()
    followed = Followed([], [])
    for index, (stem, read) in enumerate(video.frames.items()):
        truth = video.masks.get(stem)
        if not known and truth is None:
            continue
        frame = image_tensor(read())
        if known:
            segmented = method.step(frame)
            predicted = getattr(segmented, "label_map", segmented).numpy()
            if isinstance(segmented, Segmentation):
                peaks = segmented.peaks.tolist()
                sure = (segmented.uncertainty.tolist(), segmented.agreement.tolist(), peaks)
                followed.rows.extend(confidence_rows(index, stem, known, predicted, *sure))
            if truth is not None:
                followed.scores.extend((index, *one) for one in region_similarity(predicted, truth, known).items())
        fresh = [] if truth is None else [int(i) for i in np.unique(truth) if i and int(i) not in known]
        if fresh and truth is not None:
            marked = torch.from_numpy(np.where(np.isin(truth, fresh), truth, 0).astype(np.int64))
            (method.add_objects if known else method.start)(frame, marked)
            known = (*known, *fresh)
    return followed


def score_inputs(followed: Followed) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """What the score of each rated frame and object is made of (N,4): 1, uncertainty, agreement, jump; and J >= 0.5."""
    inputs, areas = {}, {}
    for row in sorted(followed.rows, key=lambda row: row["index"]):
        jump = area_jump(row["area"], areas.get(row["object"], row["area"]))
        inputs[row["index"], row["object"]] = (1.0, row["uncertainty"], row["agreement"], jump)
        areas[row["object"]] = row["area"]
    found = [(inputs[frame, k], j >= BAD) for frame, k, j in followed.scores if (frame, k) in inputs]
    return np.array([row for row, _ in found]).reshape(-1, 4), np.array([good for _, good in found], np.bool_)


def fit_score(videos: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]) -> npt.NDArray[np.float64]:
    """Weights (4,) of the score's logit by ridge logistic regression in which all videos count the same."""
    inputs = np.concatenate([x for x, _ in videos])
    good = np.concatenate([y for _, y in videos])
    share = np.concatenate([np.full(len(y), 1.0 / len(y)) for _, y in videos])

    def loss(weights: npt.NDArray[np.float64]) -> float:
        logits = inputs @ weights
        wrong = np.logaddexp(0.0, np.where(good, -logits, logits))
        return float((share * wrong).sum() + RIDGE * (weights[1:] ** 2).sum())

    fitted: npt.NDArray[np.float64] = minimize(loss, np.zeros(4)).x
    return fitted


def report_score(console: Console, followed: dict[str, Followed]) -> None:
    """Print the fitted weights, and how well those of all other videos rank the masks of each."""
    videos = {name: score_inputs(one) for name, one in followed.items()}
    videos = {name: pair for name, pair in videos.items() if len(pair[1])}
    if all(good.all() for _, good in videos.values()):
        console.print(f"score: no mask has a J below {BAD}, so there is nothing to fit")
        return
    names = ("bias", "uncertainty", "agreement", "jump")
    fitted = fit_score(list(videos.values()))
    console.print("score:", ", ".join(f"{name} {w:.2f}" for name, w in zip(names, fitted, strict=True)))
    rated: list[tuple[float, float]] = []
    for name, (inputs, good) in videos.items():
        weights = fit_score([pair for other, pair in videos.items() if other != name])
        own = list(zip((inputs @ weights).tolist(), good.astype(float).tolist(), strict=True))
        rated += own
        console.print(f"  {name}: area under the ROC curve {area_under_roc(own):.3f}, {int((~good).sum())} bad masks")
    console.print(f"  all together, each video by the weights of the others: {area_under_roc(rated):.3f}")


def share_to_review(rated: list[Rated], *, bad: bool) -> str:
    """Share of the masks with a J below 0.5, or of all others, that a person is asked to look at."""
    chosen = [one.review for one in rated if (one.j < BAD) is bad]
    return f"{np.mean(chosen):.2f}" if chosen else ""


def area_under_roc(rated: list[tuple[float, float]]) -> float:
    """How probable it is that a mask with J < 0.5 has a lower score than one with more; nan where there is none."""
    bad, good = ([score for score, j in rated if (j < BAD) is is_bad] for is_bad in (True, False))
    if not bad or not good:
        return float("nan")
    return float(mannwhitneyu(good, bad).statistic / (len(good) * len(bad)))


def main() -> None:
    """Print the table, and with --json the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("checkpoints", nargs="*")
    parser.add_argument("--frames", type=int, help="first frames of each sequence (default: all)")
    parser.add_argument("--size", type=int, default=480, help="short side at which checkpoints work")
    parser.add_argument("--sequences", help="comma list (default: all)")
    parser.add_argument("--only-checkpoints", action="store_true", help="leave out floor and baseline")
    parser.add_argument("--hard", action="store_true", help="also the sequences made harder, in which masks fail")
    parser.add_argument("--fit-score", action="store_true", help="fit the weights of the last checkpoint's score")
    parser.add_argument("--json", type=Path, help="write the values here too")
    arguments = parser.parse_args()
    chosen = arguments.sequences.split(",") if arguments.sequences else [*SEQUENCES, "bunny"]
    methods: dict[str, Any] = {} if arguments.only_checkpoints else {FLOOR: CopiedMasks(), BASELINE: NearestFeatures()}
    for name in arguments.checkpoints:
        label = Path(name).stem
        if label in methods:
            parser.error(f"two checkpoints are called {label}")
        model = choose_model("propagate", name, "cpu", "auto")
        methods[label] = model.predictor(short_side=arguments.size)
    table, console = Table("sequence", *methods, box=None), Console()
    values: dict[str, dict[str, float]] = {}
    rated: dict[str, list[Rated]] = {label: [] for label in methods}
    last: dict[str, Followed] = {}
    folders = {name: BUNNY if name == "bunny" else arguments.videos / name for name in chosen}
    videos = [read_video(name, folder, arguments.frames) for name, folder in folders.items()]
    if arguments.hard:
        cuts = [with_a_cut(video, other) for video, other in zip(videos, videos[1:] + videos[:1], strict=True)]
        whole = [read_video(name, folder, None) for name, folder in folders.items()]
        videos += [*filter(None, [*map(shrinking, whole), *map(growing, whole)]), *cuts]
    for video in videos:
        name = video.name
        values[name] = {}
        for label, method in methods.items():
            followed = follow(video, method)
            values[name][label] = followed.mean
            rated[label] += followed.rated()
            last[name] = followed
        console.print(name, *(f"{value:.3f}" for value in values[name].values()))
        table.add_row(name, *(f"{value:.3f}" for value in values[name].values()))
    means = {label: float(np.mean([row[label] for row in values.values()])) for label in methods}
    table.add_row("mean", *(f"{value:.3f}" for value in means.values()), style="bold")
    areas = {label: area_under_roc([(one.score, one.j) for one in pairs]) for label, pairs in rated.items()}
    table.add_row("score", *("" if np.isnan(area) else f"{area:.3f}" for area in areas.values()))
    table.add_row("review, bad", *(share_to_review(pairs, bad=True) for pairs in rated.values()))
    table.add_row("review, good", *(share_to_review(pairs, bad=False) for pairs in rated.values()))
    console.print(table)
    if arguments.fit_score:
        report_score(console, last)
    if arguments.json:
        arguments.json.write_text(json.dumps({**values, "mean": means, "score": areas}, indent=1))


if __name__ == "__main__":
    main()
