"""Segments one sequence: decode ahead, step the predictor, write behind, save snapshots to resume from."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.batch.command import Item
from vossegcli.batch.work import Progress
from vossegcli.io.masks.label_maps import VOID, read_written_ids, write_label_map
from vossegcli.io.media.ahead import WriteBehind, read_ahead
from vossegcli.io.media.frames import FrameReader
from vossegcli.io.records.run_records import append_jsonl, cut_jsonl, length_of
from vossegcli.io.results.mattes import write_alpha
from vossegcli.io.results.overlays import write_probability
from vossegcli.io.weights.checkpoints import read_state, write_tensors
from vossegcli.runners.propagate.confidence import confidence_rows
from vossegcli.runners.propagate.encoding import encoded_ahead
from vossegcli.runners.propagate.given_masks import GivenMasks, Pass, absences, wanted_on
from vossegcli.runners.propagate.overruling import as_given, overruled, without
from vossegcli.systems.base import Segmentation, VideoPredictor
from vossegcli.types import Frame

READ_AHEAD = 4
WRITE_BEHIND = 8
_Job = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class PropagateItem(Item):
    """A sequence that is to be segmented; where objects appear in the middle of both ways, some frames count twice.

    Attributes:
        reader: its frames.
        given: its masks.
        passes: the ways through it.
        left_out: indices of frames that no pass reaches; their masks are empty.
        probabilities: write per-object probabilities too.
        mattes: write alpha channels too.
        snapshot_every: frames between snapshots.
        frame_files: the image files of the frames; empty for a video.
    """

    reader: FrameReader
    given: GivenMasks
    passes: tuple[Pass, ...]
    left_out: range
    probabilities: bool
    mattes: bool
    snapshot_every: int
    frame_files: tuple[Path, ...] = ()

    def mask_path(self, frame_name: str) -> Path:
        """Path of a frame's label map."""
        return self.output / "masks" / self.name / f"{frame_name}.png"

    def alpha_path(self, frame_name: str) -> Path:
        """Path of a frame's alpha channel, which is kept until the sequence is done."""
        return self.state.alpha / f"{frame_name}.png"

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
        probs: what computes those of each (H,W), where they are written or summed, else nothing.
        beneath: the label map that an earlier pass wrote for this frame, or None.
        given: ids that a person drew on this frame, or said to be gone.
    """

    index: int
    name: str
    ids: tuple[int, ...]
    label_map: npt.NDArray[np.integer]
    uncertainty: list[float]
    agreement: list[float]
    peaks: list[float]
    probs: list[Callable[[], Tensor]]
    beneath: Path | None
    given: frozenset[int]


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
        predictor: forgets what it knows, at the end this sequence too, so that no memory is held for it.
        progress: told of every frame.

    Returns:
        The number of frames segmented now (frames done before an interruption are not counted).

    Raises:
        VossegError: a frame or a mask cannot be used; what was written before stays and is resumed from.
    """
    try:
        return _segment_rest(item, predictor, progress)
    finally:
        predictor.clear()


def _segment_rest(item: PropagateItem, predictor: VideoPredictor, progress: Progress) -> int:
    """Segment what no run before has segmented."""
    position = _restore(item, predictor)
    before = sum(way.written() for way in item.passes[: position.pass_number])
    before += item.passes[position.pass_number].written(position.done)
    if before:
        before += len(item.left_out)
        progress.done_before(before)
    else:
        _write_left_out(item, progress)
    cut_jsonl(item.state.rows, position.rows)
    with WriteBehind[_Job](lambda job: job(), WRITE_BEHIND) as writer:
        for number in range(position.pass_number, len(item.passes)):
            _follow_pass(item, replace(position, pass_number=number), predictor, writer, progress)
            position = _Position()
    return item.frames - before


def _follow_pass(
    item: PropagateItem,
    position: _Position,
    predictor: VideoPredictor,
    writer: WriteBehind[_Job],
    progress: Progress,
) -> None:
    """Segment what is left of a pass, and save a snapshot now and then."""
    way = item.passes[position.pass_number]
    with closing(_run_pass(item, way, position.done, predictor)) as results:
        for done, result in enumerate(results, start=position.done + 1):
            if result.ids:
                total = np.zeros(result.label_map.shape, np.float32) if item.mattes else None
                for object_id, of_object in zip(result.ids, result.probs, strict=False):
                    probs = of_object().float().cpu().numpy()
                    total = None if total is None else total + probs
                    if item.probabilities:
                        path = item.probability_path(result.name, object_id)
                        writer.submit(partial(write_probability, path, probs))
                writer.submit(partial(_write, item, replace(result, probs=[]), total))
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
    read = item.reader.iterate(low, high + 1, reverse=way.reverse)
    shown = ((frame.name, _pixels(frame, predictor.device)) for frame in read)  # in the thread that reads
    with closing(encoded_ahead(read_ahead(shown, READ_AHEAD), predictor)) as frames:
        changes = absences(item.given, way)
        gone: frozenset[int] = frozenset()
        for index in way.indices()[:done]:
            gone = changes.get(index, gone)
        for index, (name, image) in zip(indices, frames, strict=True):
            segmentation, given = _segment_frame(item, way, index, image, predictor)
            gone = changes.get(index, gone)
            if gone:
                segmentation = without(segmentation, predictor.ids, gone)
            result = _off_the_device(item, way, index, name, predictor.ids, segmentation, gone.union(given))
            del segmentation  # of many objects, it holds gigabytes that the next step needs
            yield result
            del result


def _pixels(frame: Frame, device: torch.device) -> Tensor:
    """The pixels of a frame (3,H,W) uint8, in memory that a GPU copies from by itself."""
    pixels = torch.from_numpy(frame.image).permute(2, 0, 1)
    return pixels.contiguous().pin_memory() if device.type == "cuda" else pixels


def _segment_frame(
    item: PropagateItem, way: Pass, index: int, image: Any, predictor: VideoPredictor
) -> tuple[Segmentation, Sequence[int]]:
    """Segment a frame, as the predictor takes it; return also the objects that are given on it."""
    if index == way.start:
        ids_map = _tensor(item.given.read(index).ids_map)
        predictor.start(image, ids_map)
        return as_given(ids_map, predictor.ids), predictor.ids
    segmentation = predictor.step(image)
    wanted = wanted_on(item.given, index, way.start, predictor.ids)
    if wanted is None:
        return segmentation, ()
    ids_map = _tensor(wanted)
    predictor.add_objects(image, ids_map)
    return overruled(segmentation, ids_map, predictor.ids), ids_map.unique().tolist()


def _off_the_device(
    item: PropagateItem,
    way: Pass,
    index: int,
    name: str,
    ids: tuple[int, ...],
    segmentation: Segmentation,
    given: frozenset[int],
) -> _Result:
    """Keep what is written, so that no tensor of the device waits in the queue."""
    decided = way.decided(ids, index)
    rows = [ids.index(i) for i in decided]
    # 8 bits on the device already: a quarter of the bytes has to cross over.
    small = segmentation.label_map.to(torch.uint8 if max(ids) < VOID else torch.int32)
    label_map: npt.NDArray[np.integer] = small.cpu().numpy()
    label_map = label_map.astype(np.uint8 if max(ids) < VOID else np.uint16, copy=False)
    if len(decided) < len(ids):
        label_map = np.where(np.isin(label_map, decided), label_map, 0)
    devices = segmentation.uncertainty, segmentation.agreement, segmentation.peaks
    unsure, agreed, peaks = torch.stack([values.float() for values in devices]).tolist()  # one copy for all
    return _Result(
        index, name, decided, label_map, [unsure[k] for k in rows], [agreed[k] for k in rows], [peaks[k] for k in rows],
        [segmentation.object_probs[k] for k in rows] if item.probabilities or item.mattes else [],
        item.mask_path(name) if way.only and index >= min(way.only.values()) else None, given,
    )  # fmt: skip


def _write(item: PropagateItem, result: _Result, total: npt.NDArray[np.float32] | None) -> None:
    """Write one frame: label map, confidence rows, and of the sum (H,W) of all probabilities the alpha channel."""
    label_map, ids = result.label_map, result.ids
    if result.beneath is not None:  # a second way through the video leaves alone what is decided already
        earlier = read_written_ids(result.beneath)
        label_map = np.where((earlier > 0) & ~np.isin(earlier, ids), earlier, label_map)
    rows = confidence_rows(
        result.index, result.name, ids, label_map, result.uncertainty, result.agreement, result.peaks, result.given
    )
    write_label_map(item.mask_path(result.name), label_map)
    if total is not None:
        write_alpha(item.alpha_path(result.name), label_map, ids, total, onto=result.beneath is not None)
    append_jsonl(item.state.rows, *rows)


def _write_left_out(item: PropagateItem, progress: Progress) -> None:
    """Write empty label maps for the frames that no pass reaches."""
    blank = np.zeros(item.reader.size, np.uint8)
    for index in item.left_out:
        write_label_map(item.mask_path(item.reader.names[index]), blank)
        progress.frame()


def _save(item: PropagateItem, predictor: VideoPredictor, position: _Position) -> None:
    metadata = {"key": item.key, "device": predictor.device.type, **asdict(position)}
    write_tensors(item.state.snapshot, predictor.state(), {name: str(value) for name, value in metadata.items()})


def _restore(item: PropagateItem, predictor: VideoPredictor) -> _Position:
    """Load the snapshot, if there is one for this very job and what was written before it is still there."""
    found = read_state(item.state.snapshot, item.key)
    if found is None:
        return _Position()
    tensors, metadata = found
    position = _Position(int(metadata["pass_number"]), int(metadata["done"]), int(metadata["rows"]))
    before = [i for way in item.passes[: position.pass_number] for i in way.indices()]
    before += [*item.passes[position.pass_number].indices()[: position.done], *item.left_out]
    written = all(length_of(item.mask_path(item.reader.names[index])) > 0 for index in before)  # 0: after a power cut
    if not written or length_of(item.state.rows) < position.rows:
        return _Position()
    predictor.load_state(tensors)
    return position


def _tensor(ids_map: npt.NDArray[np.integer[Any]]) -> Tensor:
    return torch.from_numpy(ids_map.astype(np.int32))
