"""Segments one sequence: decode ahead, step the predictor, write behind, save snapshots to resume from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.io.ahead import WriteBehind, read_ahead
from vossegcli.io.checkpoints import read_tensors, write_tensors
from vossegcli.io.frames import FrameReader
from vossegcli.io.label_maps import read_written_ids, write_label_map
from vossegcli.io.overlays import write_probability
from vossegcli.io.run_records import ItemState, append_jsonl, cut_jsonl
from vossegcli.ops.masks import one_hot_classes
from vossegcli.runners.batch import Progress
from vossegcli.runners.confidence import confidence_rows
from vossegcli.runners.given_masks import GivenMasks, Pass, plan_passes, wanted_on
from vossegcli.systems.base import Segmentation, VideoPredictor
from vossegcli.types import Frame

READ_AHEAD = 4
WRITE_BEHIND = 8


@dataclass(frozen=True)
class SequenceJob:
    """What is to be done with one sequence.

    Attributes:
        name: of the sequence.
        reader: its frames.
        given: its masks.
        direction: `forward`, `backward` or `both`.
        output: the run's output folder.
        probabilities: write per-object probabilities too.
        key: fingerprint; a snapshot of another key is not used.
        snapshot_every: frames between snapshots.
    """

    name: str
    reader: FrameReader
    given: GivenMasks
    direction: str
    output: Path
    probabilities: bool
    key: str
    snapshot_every: int

    def mask_path(self, frame_name: str) -> Path:
        """Where the label map of a frame goes."""
        return self.output / "masks" / self.name / f"{frame_name}.png"

    def probability_path(self, frame_name: str, object_id: int) -> Path:
        """Where the probability of an object goes."""
        return self.output / "probabilities" / self.name / str(object_id) / f"{frame_name}.png"


@dataclass(frozen=True)
class _Result:
    """A segmented frame on its way to the disk."""

    index: int
    name: str
    ids: tuple[int, ...]
    segmentation: Segmentation
    only: dict[int, int]


@dataclass(frozen=True)
class _Position:
    """Where an interrupted sequence stood: pass, frames done in it, and the length of the rows file."""

    pass_number: int
    done: int
    rows: int


def segment_sequence(job: SequenceJob, predictor: VideoPredictor, progress: Progress) -> int:
    """Segment a sequence into label maps, probabilities and confidence rows.

    Args:
        job: what to do.
        predictor: its memory is replaced.
        progress: told of every frame.

    Returns:
        The number of frames segmented now (frames done before an interruption are not counted).

    Raises:
        VossegError: a frame or a mask cannot be used; what was written before stays and is resumed from.
    """
    state = ItemState(job.output, job.name)
    passes, left_out = plan_passes(job.given, len(job.reader), job.direction)
    position = _restore(job, state, predictor, passes) or _Position(0, 0, 0)
    cut_jsonl(state.rows, position.rows)
    if position == _Position(0, 0, 0):
        blank = np.zeros(job.reader.size, np.uint8)
        for index in left_out:
            write_label_map(job.mask_path(job.reader.names[index]), blank)
        progress.frame(len(left_out))
    counted = 0
    with WriteBehind[_Result](lambda result: _write(job, state, result), WRITE_BEHIND) as writer:
        for number in range(position.pass_number, len(passes)):
            done = position.done if number == position.pass_number else 0
            for result in _run_pass(job, passes[number], done, predictor):
                writer.submit(result)
                progress.frame()
                counted += 1
                done += 1
                if done % job.snapshot_every == 0:
                    writer.flush()
                    _save(job, state, predictor, _Position(number, done, _length(state.rows)))
    return counted + len(left_out)


def _run_pass(job: SequenceJob, way: Pass, done: int, predictor: VideoPredictor) -> Iterator[_Result]:
    """Segment the frames of a pass, the first `done` of which are done already."""
    indices = way.indices()[done:]
    if not indices:
        return
    low, high = min(indices[0], indices[-1]), max(indices[0], indices[-1])
    frames = job.reader.iterate(low, high + 1, reverse=way.reverse)
    for index, frame in zip(indices, read_ahead(frames, READ_AHEAD), strict=True):
        segmentation = _segment_frame(job, way, index, frame, predictor)
        yield _Result(index, frame.name, predictor.ids, segmentation, dict(way.only))


def _segment_frame(
    job: SequenceJob, way: Pass, index: int, frame: Frame, predictor: VideoPredictor
) -> Segmentation:
    image = torch.from_numpy(frame.image).permute(2, 0, 1).float() / 255.0
    if index == way.start:
        ids_map = _tensor(job.given.read(index).ids_map)
        predictor.start(image, ids_map)
        return _as_given(ids_map, predictor.ids)
    segmentation = predictor.step(image)
    wanted = wanted_on(job.given, index, way.start, predictor.ids)
    if wanted is None:
        return segmentation
    ids_map = _tensor(wanted)
    predictor.add_objects(image, ids_map)
    return _overruled(segmentation, ids_map, predictor.ids)


def _as_given(ids_map: Tensor, ids: tuple[int, ...]) -> Segmentation:
    """The segmentation of a frame whose mask was given: certain."""
    return Segmentation(ids_map, one_hot_classes(ids_map, ids)[1:], torch.zeros(len(ids)))


def _overruled(segmentation: Segmentation, given: Tensor, ids: tuple[int, ...]) -> Segmentation:
    """A predicted frame with the objects that were given on it."""
    label_map = segmentation.label_map.cpu()
    marked = torch.tensor([i for i in ids if bool((given == i).any())])
    kept = torch.where(torch.isin(label_map, marked), 0, label_map)
    certain = _as_given(given, ids)
    old = segmentation.probs.cpu()
    probs = torch.cat([old, old.new_zeros(len(ids) - old.shape[0], *old.shape[1:])]) * (given == 0)
    unsure = torch.cat([segmentation.uncertainty.cpu(), torch.zeros(len(ids) - old.shape[0])])
    is_marked = torch.isin(torch.tensor(ids), marked)
    return Segmentation(
        torch.where(given > 0, given, kept),
        torch.where(is_marked[:, None, None], certain.probs, probs),
        torch.where(is_marked, 0.0, unsure),
    )


def _write(job: SequenceJob, state: ItemState, result: _Result) -> None:
    """Write one frame: label map, probabilities, confidence rows."""
    label_map = result.segmentation.label_map.cpu().numpy()
    path = job.mask_path(result.name)
    ids = result.ids
    if result.only:  # a second way through the video: it has the say on objects that were annotated later only
        ids = tuple(i for i in ids if result.index < result.only[i])
        label_map = np.where(np.isin(label_map, ids), label_map, 0)
        if path.exists() and result.index >= min(result.only.values()):
            forward = read_written_ids(path)
            label_map = np.where((forward > 0) & ~np.isin(forward, ids), forward, label_map)
    largest = int(label_map.max())
    write_label_map(path, label_map.astype(np.uint8 if largest <= 255 else np.uint16))
    if job.probabilities:
        for k, object_id in enumerate(result.ids):
            if object_id in ids:
                write_probability(
                    job.probability_path(result.name, object_id), result.segmentation.probs[k].cpu().numpy()
                )
    for row in confidence_rows(result.index, result.name, result.ids, result.segmentation):
        if row["object"] in ids:
            append_jsonl(state.rows, row)


def _save(job: SequenceJob, state: ItemState, predictor: VideoPredictor, position: _Position) -> None:
    metadata: dict[str, Any] = {"key": job.key, **vars(position)}
    write_tensors(state.snapshot, predictor.state(), {k: str(v) for k, v in metadata.items()})


def _restore(
    job: SequenceJob, state: ItemState, predictor: VideoPredictor, passes: list[Pass]
) -> _Position | None:
    """Load the snapshot, if there is one for this very job and the masks before it are still there."""
    if not state.snapshot.exists():
        return None
    tensors, metadata = read_tensors(state.snapshot)
    if metadata.get("key") != job.key:
        return None
    position = _Position(int(metadata["pass_number"]), int(metadata["done"]), int(metadata["rows"]))
    before = [i for way in passes[: position.pass_number] for i in way.indices()]
    before += passes[position.pass_number].indices()[: position.done]
    if not all(job.mask_path(job.reader.names[index]).is_file() for index in before):
        return None
    predictor.load_state(tensors)
    return position


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tensor(ids_map: npt.NDArray[np.integer[Any]]) -> Tensor:
    return torch.from_numpy(ids_map.astype(np.int32))
