"""Pictures for the report of `vosseg evaluate vos`: error maps of frames, and the frames that went worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.masks.mask_trees import IdsMap
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.sequences import find_sequences
from vossegcli.io.records.file_names import subfolder
from vossegcli.io.results.overlays import data_uri, draw_errors, draw_overlay
from vossegcli.reports.evaluation import Report
from vossegcli.reports.evaluation_page import Picture
from vossegcli.runners.evaluate.pairs import FrameGroup, FramePair, Plan
from vossegcli.runners.evaluate.vos import read_prediction, read_truth
from vossegcli.types import FrameSequence

MOST_PICTURES = 320
MOST_BYTES = 4_000_000
WIDTH, QUALITY = 300, 60
WORST = 8

Image = np.ndarray
Pair = tuple[FrameGroup, FramePair]


def frame_pictures(plan: Plan, images: FrameImages) -> list[Picture]:
    """Draw the error maps of scored frames, spread evenly over all of them, within 4 MB."""
    scored = list(_scored(plan))
    pictures = []
    for group, pair in scored[:: max(1, -(-len(scored) // MOST_PICTURES))]:
        truth, predicted = _masks(group, pair)
        uri = data_uri(draw_errors(images.of(group, pair, truth.shape), truth, predicted), width=WIDTH, quality=QUALITY)
        pictures.append(Picture(group.sequence, pair.name, "errors", uri))
    while sum(len(picture.uri) for picture in pictures) > MOST_BYTES:
        pictures = pictures[::2]
    return pictures


def worst_frames(plan: Plan, report: Report, images: FrameImages) -> list[Picture]:
    """Draw image, truth, prediction and errors of the frames with the lowest mean J, one a sequence first."""
    means = _mean_j(report)
    pairs = {(group.sequence, pair.name): (group, pair) for group, pair in _scored(plan)}
    ranked = sorted((key for key in means if key in pairs), key=lambda key: means[key])
    worst = set({key[0]: key for key in reversed(ranked)}.values())  # of each sequence
    order = sorted(ranked, key=lambda key: key not in worst)
    pictures = []
    for key in order[:WORST]:
        group, pair = pairs[key]
        truth, predicted = _masks(group, pair)
        image = images.of(group, pair, truth.shape)
        canvas, alpha = (np.full((*truth.shape, 3), 40, np.uint8), 0.9) if image is None else (image, 0.5)
        parts = {"truth": draw_overlay(canvas, truth, alpha), "prediction": draw_overlay(canvas, predicted, alpha)}
        parts = ({} if image is None else {"image": image}) | parts | {"errors": draw_errors(image, truth, predicted)}
        caption = f"J {means[key]:.3f}"
        pictures += [
            Picture(group.sequence, pair.name, kind, data_uri(part, width=WIDTH, quality=QUALITY), caption)
            for kind, part in parts.items()
        ]
    return pictures


def _mean_j(report: Report) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], list[float]] = {}
    for row in report["per_object"].values():
        for frame, j in zip(row["frames"], row["J"], strict=True):
            values.setdefault((row["sequence"], frame), []).append(j)
    return {key: float(np.mean(js)) for key, js in values.items()}


def _scored(plan: Plan) -> Iterator[Pair]:
    for group in plan.groups:
        for pair in group.frames:
            if pair.scored:
                yield group, pair


def _masks(group: FrameGroup, pair: FramePair) -> tuple[IdsMap, IdsMap]:
    truth, void, _ = read_truth(group, pair)
    predicted = read_prediction(group, pair, (truth.shape[0], truth.shape[1]))[0].ids_map
    if void is None:
        return truth, predicted
    return np.where(void, 0, truth), np.where(void, 0, predicted)


class FrameImages:
    """The images behind masks, where they can be had.

    Args:
        sequences: of images, by the name of the evaluated sequence.
    """

    def __init__(self, sequences: Mapping[str, FrameSequence]) -> None:
        self._sequences = sequences
        self._open = lru_cache(maxsize=1)(open_frames)  # the frames of a sequence are asked for one after the other

    def of(self, group: FrameGroup, pair: FramePair, size: tuple[int, ...]) -> Image | None:
        """The image (H,W,3) of a frame, or None where there is none of that size."""
        sequence = self._sequences.get(group.sequence)
        if sequence is None:
            return None
        try:
            reader = self._open(sequence)
            index = reader.names.index(pair.name)
            image = next(iter(reader.iterate(index, index + 1))).image
        except (InputError, ValueError, StopIteration):
            return None
        return image if image.shape[:2] == size else None


def find_images(plan: Plan, frames: Path | None) -> FrameImages:
    """Find the images behind the masks.

    Args:
        plan: what is evaluated.
        frames: in any layout that `propagate` reads; None = those of the data set, if it has some.

    Raises:
        InputError: `frames` holds no frames, or none of the sequences.
    """
    names = {group.sequence for group in plan.groups}
    if frames is None:
        try:
            found = find_sequences(plan.truth) if subfolder(plan.truth, "JPEGImages").is_dir() else []
        except InputError:
            found = []
    else:
        found = find_sequences(frames)
        if not (len(found) == len(names) == 1 or names & {sequence.name for sequence in found}):
            raise InputError(
                f"holds the frames of {', '.join(s.name for s in found[:5])}, none of which is evaluated",
                where=frames,
                fix="give the folder whose sequences are named like those of the ground truth",
            )
    if len(found) == len(names) == 1:
        return FrameImages({names.pop(): found[0]})
    return FrameImages({sequence.name: sequence for sequence in found})
