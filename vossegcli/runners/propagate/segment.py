"""Segments one sequence: decode ahead, step the predictor, write behind, save snapshots to resume from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.batch.command import Item
from vossegcli.batch.work import Progress
from vossegcli.errors import CheckpointError
from vossegcli.io.masks.label_maps import VOID, read_written_ids, write_label_map
from vossegcli.io.media.ahead import WriteBehind, read_ahead
from vossegcli.io.media.frames import FrameReader
from vossegcli.io.records.run_records import append_jsonl, cut_jsonl, length_of
from vossegcli.io.results.overlays import write_probability
from vossegcli.io.weights.checkpoints import read_tensors, write_tensors
from vossegcli.ops.images import image_tensor
from vossegcli.ops.masks import one_hot_classes
from vossegcli.runners.propagate.confidence import confidence_rows
from vossegcli.runners.propagate.given_masks import GivenMasks, Pass, absences, wanted_on
from vossegcli.systems.base import Segmentation, VideoPredictor
from vossegcli.types import Frame

READ_AHEAD = 4
WRITE_BEHIND = 8


@dataclass(frozen=True, kw_only=True)
class PropagateItem(Item):
    """A sequence that is to be segmented; where objects appear in the middle of both ways, some frames count twice.

    Attributes:
        reader: its frames.
        given: its masks.
        passes: the ways through it.
        left_out: indices of frames that no pass reaches; their masks are empty.
        probabilities: write per-object probabilities too.
        snapshot_every: frames between snapshots.
        frame_files: the image files of the frames; empty for a video.
    """

    reader: FrameReader
    given: GivenMasks
    passes: tuple[Pass, ...]
    left_out: range
    probabilities: bool
    snapshot_every: int
    frame_files: tuple[Path, ...] = ()

    def mask_path(self, frame_name: str) -> Path:
        """Path of a frame's label map."""
        return self.output / "masks" / self.name / f"{frame_name}.png"

    def probability_path(self, frame_name: str, object_id: int) -> Path:
        """Path of an object's probability on a frame."""
        return self.output / "probabilities" / self.name / str(object_id) / f"{frame_name}.png"


@dataclass(frozen=True)
class _Result:
    """A segmented frame on its way to the disk, off the device; only the objects that its pass decides.

    Attributes:
        index: of the frame.
        name: of the frame.
        ids: the K objects.
        label_map: (H,W) their ids.
        uncertainty: (K,) as in `Segmentation`.
        agreement: (K,) likewise.
        peaks: (K,) largest probability of each.
        probs: (H,W) float32 of each, where probabilities are written, else nothing.
        beneath: the label map that an earlier pass wrote for this frame, or None.
    """

    index: int
    name: str
    ids: tuple[int, ...]
    label_map: npt.NDArray[np.integer]
    uncertainty: list[float]
    agreement: list[float]
    peaks: list[float]
    probs: list[npt.NDArray[np.float32]]
    beneath: Path | None


@dataclass(frozen=True)
class _Position:
    """The point that an interrupted sequence reached: pass, frames done in it, and the length of the rows file."""

    pass_number: int = 0
    done: int = 0
    rows: int = 0


def segment_sequence(item: PropagateItem, predictor: VideoPredictor, progress: Progress) -> int:
    """Segment a sequence into label maps, probabilities and confidence rows.

    Args:
        item: the sequence.
        predictor: its memory is replaced.
        progress: told of every frame.

    Returns:
        The number of frames segmented now (frames done before an interruption are not counted).

    Raises:
        VossegError: a frame or a mask cannot be used; what was written before stays and is resumed from.
    """
    position = _restore(item, predictor)
    before = sum(way.written() for way in item.passes[: position.pass_number])
    before += item.passes[position.pass_number].written(position.done)
    if before:
        before += len(item.left_out)
        progress.done_before(before)
    else:
        _write_left_out(item, progress)
    cut_jsonl(item.state.rows, position.rows)
    with WriteBehind[_Result](lambda result: _write(item, result), WRITE_BEHIND) as writer:
        for number in range(position.pass_number, len(item.passes)):
            _follow_pass(item, replace(position, pass_number=number), predictor, writer, progress)
            position = _Position()
    return item.frames - before


def _follow_pass(
    item: PropagateItem,
    position: _Position,
    predictor: VideoPredictor,
    writer: WriteBehind[_Result],
    progress: Progress,
) -> None:
    """Segment what is left of a pass, and save a snapshot now and then."""
    way = item.passes[position.pass_number]
    with closing(_run_pass(item, way, position.done, predictor)) as results:
        for done, result in enumerate(results, start=position.done + 1):
            if result.ids:
                writer.submit(result)
                progress.frame()
            if done % item.snapshot_every == 0:
                writer.flush()
                _save(item, predictor, _Position(position.pass_number, done, length_of(item.state.rows)))


def _run_pass(item: PropagateItem, way: Pass, done: int, predictor: VideoPredictor) -> Generator[_Result, None, None]:
    """Segment the frames of a pass, the first `done` of which are done already."""
    indices = way.indices()[done:]
    if not indices:
        return
    low, high = min(indices[0], indices[-1]), max(indices[0], indices[-1])
    with closing(read_ahead(item.reader.iterate(low, high + 1, reverse=way.reverse), READ_AHEAD)) as frames:
        changes = absences(item.given, way)
        gone: frozenset[int] = frozenset()
        for index in way.indices()[:done]:
            gone = changes.get(index, gone)
        for index, frame in zip(indices, frames, strict=True):
            segmentation = _segment_frame(item, way, index, frame, predictor)
            gone = changes.get(index, gone)
            if gone:
                segmentation = _without(segmentation, predictor.ids, gone)
            yield _off_the_device(item, way, index, frame.name, predictor.ids, segmentation)


def _segment_frame(item: PropagateItem, way: Pass, index: int, frame: Frame, predictor: VideoPredictor) -> Segmentation:
    image = image_tensor(frame.image)
    if index == way.start:
        ids_map = _tensor(item.given.read(index).ids_map)
        predictor.start(image, ids_map)
        return _as_given(ids_map, predictor.ids)
    segmentation = predictor.step(image)
    wanted = wanted_on(item.given, index, way.start, predictor.ids)
    if wanted is None:
        return segmentation
    ids_map = _tensor(wanted)
    predictor.add_objects(image, ids_map)
    return _overruled(segmentation, ids_map, predictor.ids)


def _without(segmentation: Segmentation, ids: tuple[int, ...], gone: frozenset[int]) -> Segmentation:
    """A segmentation without the objects that a person said are gone: certain."""
    kept = torch.tensor([i not in gone for i in ids], device=segmentation.probs.device)
    hidden = torch.tensor(sorted(gone), device=segmentation.label_map.device)
    return Segmentation(
        torch.where(torch.isin(segmentation.label_map, hidden), 0, segmentation.label_map),
        segmentation.probs * kept[:, None, None],
        segmentation.uncertainty * kept.to(segmentation.uncertainty.device),
        torch.where(kept.to(segmentation.agreement.device), segmentation.agreement, 1.0),
    )


def _as_given(ids_map: Tensor, ids: tuple[int, ...]) -> Segmentation:
    """The segmentation of a frame whose mask was given: certain."""
    return Segmentation(ids_map, one_hot_classes(ids_map, ids)[1:], torch.zeros(len(ids)), torch.ones(len(ids)))


def _overruled(segmentation: Segmentation, given: Tensor, ids: tuple[int, ...]) -> Segmentation:
    """A predicted frame with the objects that were given on it."""
    label_map = segmentation.label_map.cpu()
    marked = torch.tensor([i for i in ids if bool((given == i).any())])
    kept = torch.where(torch.isin(label_map, marked), 0, label_map)
    certain = _as_given(given, ids)
    old = segmentation.probs.cpu()
    new = len(ids) - old.shape[0]
    probs = torch.cat([old, old.new_zeros(new, *old.shape[1:])]) * (given == 0)
    unsure = torch.cat([segmentation.uncertainty.cpu(), torch.zeros(new)])
    agreed = torch.cat([segmentation.agreement.cpu(), torch.ones(new)])
    is_marked = torch.isin(torch.tensor(ids), marked)
    return Segmentation(
        torch.where(given > 0, given, kept),
        torch.where(is_marked[:, None, None], certain.probs, probs),
        torch.where(is_marked, 0.0, unsure),
        torch.where(is_marked, 1.0, agreed),
    )


def _off_the_device(
    item: PropagateItem, way: Pass, index: int, name: str, ids: tuple[int, ...], segmentation: Segmentation
) -> _Result:
    """Keep what is written, so that no tensor of the device waits in the queue."""
    decided = way.decided(ids, index)
    rows = [ids.index(i) for i in decided]
    label_map: npt.NDArray[np.integer] = segmentation.label_map.cpu().numpy()
    label_map = label_map.astype(np.uint8 if max(ids) < VOID else np.uint16)
    if len(decided) < len(ids):
        label_map = np.where(np.isin(label_map, decided), label_map, 0)
    unsure, agreed, peaks = segmentation.uncertainty, segmentation.agreement, segmentation.probs.amax(dim=(1, 2))
    return _Result(
        index, name, decided, label_map, unsure[rows].tolist(), agreed[rows].tolist(), peaks[rows].tolist(),
        [segmentation.probs[k].cpu().numpy() for k in rows] if item.probabilities else [],
        item.mask_path(name) if way.only and index >= min(way.only.values()) else None,
    )  # fmt: skip


def _write(item: PropagateItem, result: _Result) -> None:
    """Write one frame: label map, probabilities, confidence rows."""
    label_map, ids = result.label_map, result.ids
    if result.beneath is not None:  # a second way through the video leaves alone what is decided already
        earlier = read_written_ids(result.beneath)
        label_map = np.where((earlier > 0) & ~np.isin(earlier, ids), earlier, label_map)
    rows = confidence_rows(
        result.index, result.name, ids, label_map, result.uncertainty, result.agreement, result.peaks
    )
    write_label_map(item.mask_path(result.name), label_map)
    for object_id, probs in zip(ids, result.probs, strict=False):
        write_probability(item.probability_path(result.name, object_id), probs)
    append_jsonl(item.state.rows, *rows)


def _write_left_out(item: PropagateItem, progress: Progress) -> None:
    """Write empty label maps for the frames that no pass reaches."""
    blank = np.zeros(item.reader.size, np.uint8)
    for index in item.left_out:
        write_label_map(item.mask_path(item.reader.names[index]), blank)
        progress.frame()


def _save(item: PropagateItem, predictor: VideoPredictor, position: _Position) -> None:
    metadata = {"key": item.key, **asdict(position)}
    write_tensors(item.state.snapshot, predictor.state(), {name: str(value) for name, value in metadata.items()})


def _restore(item: PropagateItem, predictor: VideoPredictor) -> _Position:
    """Load the snapshot, if there is one for this very job and what was written before it is still there."""
    try:
        tensors, metadata = read_tensors(item.state.snapshot)
    except CheckpointError:
        return _Position()
    if metadata.get("key") != item.key:
        return _Position()
    position = _Position(int(metadata["pass_number"]), int(metadata["done"]), int(metadata["rows"]))
    before = [i for way in item.passes[: position.pass_number] for i in way.indices()]
    before += [*item.passes[position.pass_number].indices()[: position.done], *item.left_out]
    written = all(item.mask_path(item.reader.names[index]).is_file() for index in before)
    if not written or length_of(item.state.rows) < position.rows:
        return _Position()
    predictor.load_state(tensors)
    return position


def _tensor(ids_map: npt.NDArray[np.integer[Any]]) -> Tensor:
    return torch.from_numpy(ids_map.astype(np.int32))
