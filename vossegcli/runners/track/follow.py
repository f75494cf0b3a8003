"""Follows the instances of one sequence: decode ahead, step the predictor, write rows, save snapshots."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vossegcli.batch.batch import Progress
from vossegcli.errors import CheckpointError
from vossegcli.io.media.ahead import WriteBehind, read_ahead
from vossegcli.io.media.frames import FrameReader
from vossegcli.io.records.run_records import ItemState, append_jsonl, cut_jsonl, length_of
from vossegcli.io.results.rle import region_rle
from vossegcli.io.weights.checkpoints import read_tensors, write_tensors
from vossegcli.ops.images import image_tensor
from vossegcli.ops.masks import paste_mask
from vossegcli.systems.base import TrackedInstances, TrackPredictor

READ_AHEAD = 4
WRITE_BEHIND = 8


@dataclass(frozen=True)
class TrackJob:
    """What is to be done with one sequence.

    Attributes:
        name: of the sequence.
        reader: its frames.
        output: the run's output folder.
        key: fingerprint; a snapshot of another key is not used.
        snapshot_every: frames between snapshots.
    """

    name: str
    reader: FrameReader
    output: Path
    key: str
    snapshot_every: int

    @property
    def state(self) -> ItemState:
        """Marker, snapshot and rows."""
        return ItemState(self.output, self.name)


@dataclass(frozen=True)
class _Result:
    """The instances of a frame on their way to the disk, off the device."""

    index: int
    found: TrackedInstances


def follow_sequence(job: TrackJob, predictor: TrackPredictor, progress: Progress) -> int:
    """Follow the instances of a sequence; a row an instance and frame is appended to the item's rows.

    A row holds `frame` (index), `id`, `label`, `score` (so far), `area` and `rle`.

    Args:
        job: what to do.
        predictor: its memory is replaced.
        progress: told of every frame.

    Returns:
        The number of frames done now (frames done before an interruption are not counted).

    Raises:
        VossegError: a frame cannot be read; what was written before stays and is resumed from.
    """
    predictor.start()
    done, rows = _restore(job, predictor)
    cut_jsonl(job.state.rows, rows)
    if done:
        progress.done_before(done)
    with (
        closing(read_ahead(job.reader.iterate(done), READ_AHEAD)) as frames,
        WriteBehind[_Result](lambda result: _write(job, result), WRITE_BEHIND) as writer,
    ):
        for index, frame in enumerate(frames, start=done):
            found = predictor.step(image_tensor(frame.image))
            writer.submit(_Result(index, TrackedInstances(*(part.cpu() for part in found))))
            progress.frame()
            if (index + 1) % job.snapshot_every == 0:
                writer.flush()
                metadata = {"key": job.key, "done": str(index + 1), "rows": str(length_of(job.state.rows))}
                write_tensors(job.state.snapshot, predictor.state(), metadata)
    return len(job.reader) - done


def _write(job: TrackJob, result: _Result) -> None:
    height, width = job.reader.size
    rows: list[dict[str, Any]] = []
    for number, box, score, label, mask in zip(*result.found, strict=True):
        top, left, region = paste_mask(mask, box, (height, width))
        if region.any():
            rle = region_rle(region.numpy(), top, left, height, width)
            rows.append({
                "frame": result.index, "id": int(number), "label": int(label), "score": round(float(score), 5),
                "area": int(region.sum()), "rle": rle["counts"],
            })  # fmt: skip
    append_jsonl(job.state.rows, *rows)


def _restore(job: TrackJob, predictor: TrackPredictor) -> tuple[int, int]:
    """Load the snapshot, if there is one for this very job; return frames done and the length of the rows."""
    try:
        tensors, metadata = read_tensors(job.state.snapshot)
    except CheckpointError:
        return 0, 0
    if metadata.get("key") != job.key or length_of(job.state.rows) < int(metadata["rows"]):
        return 0, 0
    predictor.load_state(tensors)
    return int(metadata["done"]), int(metadata["rows"])
