"""Follows the instances of one sequence: decode ahead, step the predictor, write rows, save snapshots."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from vossegcli.batch.command import Item
from vossegcli.batch.work import Progress
from vossegcli.io.media.ahead import WriteBehind, read_ahead
from vossegcli.io.media.frames import FrameReader
from vossegcli.io.records.run_records import append_jsonl, cut_jsonl, length_of
from vossegcli.io.results.rle import region_rle
from vossegcli.io.weights.checkpoints import read_state, write_tensors
from vossegcli.ops.images import image_tensor
from vossegcli.ops.masks import paste_mask
from vossegcli.systems.base import TrackedInstances, TrackPredictor

READ_AHEAD = 4
WRITE_BEHIND = 8


@dataclass(frozen=True, kw_only=True)
class TrackItem(Item):
    """A sequence whose instances are to be followed.

    Attributes:
        reader: its frames.
        video_id: in the YouTube-VIS results.
        snapshot_every: frames between snapshots.
    """

    reader: FrameReader
    video_id: int | str
    snapshot_every: int


@dataclass(frozen=True)
class _Result:
    """The instances of a frame on their way to the disk, off the device."""

    index: int
    found: TrackedInstances


def follow_sequence(item: TrackItem, predictor: TrackPredictor, progress: Progress) -> int:
    """Follow the instances of a sequence; a row an instance and frame is appended to the item's rows.

    A row holds `frame` (index), `id`, `label`, `score` (so far), `area` and `rle`.

    Args:
        item: the sequence.
        predictor: its memory is replaced.
        progress: told of every frame.

    Returns:
        The number of frames done now (frames done before an interruption are not counted).

    Raises:
        VossegError: a frame cannot be read; what was written before stays and is resumed from.
    """
    predictor.start()
    done, rows = _restore(item, predictor)
    cut_jsonl(item.state.rows, rows)
    if done:
        progress.done_before(done)
    with (
        closing(read_ahead(item.reader.iterate(done), READ_AHEAD)) as frames,
        WriteBehind[_Result](lambda result: _write(item, result), WRITE_BEHIND) as writer,
    ):
        for index, frame in enumerate(frames, start=done):
            found = predictor.step(image_tensor(frame.image))
            writer.submit(_Result(index, TrackedInstances(*(part.cpu() for part in found))))
            progress.frame()
            if (index + 1) % item.snapshot_every == 0:
                writer.flush()
                metadata = {"key": item.key, "done": str(index + 1), "rows": str(length_of(item.state.rows))}
                write_tensors(item.state.snapshot, predictor.state(), metadata)
    return len(item.reader) - done


def _write(item: TrackItem, result: _Result) -> None:
    height, width = item.reader.size
    rows: list[dict[str, Any]] = []
    for number, box, score, label, mask in zip(*result.found, strict=True):
        top, left, region = paste_mask(mask, box, (height, width))
        if region.any():
            rle = region_rle(region.numpy(), top, left, height, width)
            rows.append({
                "frame": result.index, "id": int(number), "label": int(label), "score": round(float(score), 5),
                "area": int(region.sum()), "rle": rle["counts"],
            })  # fmt: skip
    append_jsonl(item.state.rows, *rows)


def _restore(item: TrackItem, predictor: TrackPredictor) -> tuple[int, int]:
    """Load the snapshot, if there is one for this very job; return frames done and the length of the rows."""
    found = read_state(item.state.snapshot, item.key)
    if found is None:
        return 0, 0
    tensors, metadata = found
    if length_of(item.state.rows) < int(metadata["rows"]):
        return 0, 0
    predictor.load_state(tensors)
    return int(metadata["done"]), int(metadata["rows"])
