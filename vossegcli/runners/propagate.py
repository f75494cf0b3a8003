"""`vosseg propagate`: given masks to masks of whole videos, for one sequence or a tree of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vossegcli import __version__
from vossegcli.errors import ConfigError, DeviceError, InputError, VossegError
from vossegcli.io.atomic import clean_temporaries
from vossegcli.io.checkpoints import Checkpoint, default_checkpoint, read_checkpoint
from vossegcli.io.frames import FrameReader, open_frames
from vossegcli.io.run_records import ItemState, fingerprint, sequence_files
from vossegcli.io.sequences import find_sequences
from vossegcli.runners.batch import Progress, WorkItem, plan_rows, run_batch
from vossegcli.runners.confidence import write_confidence
from vossegcli.runners.devices import resolve_device, resolve_precision
from vossegcli.runners.given_masks import GivenMasks, find_given_masks, plan_passes
from vossegcli.runners.loading import build_network
from vossegcli.runners.rendering import overlay_path, render_sequence, video_path
from vossegcli.runners.sequence import SequenceJob, segment_sequence
from vossegcli.systems import get_system
from vossegcli.systems.base import VideoPredictor
from vossegcli.types import FrameSequence

SAVES = ("masks", "overlay", "video", "probabilities")
SNAPSHOT_EVERY = 200


@dataclass(frozen=True)
class PropagateOptions:
    """What the command line gives; see `vosseg propagate --help`.

    Attributes:
        frames: folder of frames, video file, or root.
        mask: mask file, folder of masks, folder of such folders, or None for what the layout provides.
        at: name or index of the frame that a mask file belongs to.
        use_masks: `first`, `new`, `all`, or None for the layout's default.
        direction: `forward`, `backward`, `both`, or None: both where `at` is given, else forward.
        short_side: work at this short side at most; None = native.
        checkpoint: name or file, or None for the default.
        budget: entries of the feature bank, or None for the checkpoint's.
        update_rate: of the feature bank, or None.
        merge_threshold: of the feature bank, or None.
        output: folder, or None for `runs/propagate/<name>`.
        save: any of `SAVES`.
        overwrite: do finished sequences again.
        fix_mask: repair anti-aliased or misshapen masks.
        device: as typed.
        precision: as typed.
        seed: of torch's generator.
        command: the command line, for the record.
        snapshot_every: frames between snapshots of an unfinished sequence.
    """

    frames: Path
    mask: Path | None = None
    at: str | None = None
    use_masks: str | None = None
    direction: str | None = None
    short_side: int | None = 480
    checkpoint: str | None = None
    budget: int | None = None
    update_rate: float | None = None
    merge_threshold: float | None = None
    output: Path | None = None
    save: tuple[str, ...] = ("masks",)
    overwrite: bool = False
    fix_mask: bool = False
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    command: str = ""
    snapshot_every: int = SNAPSHOT_EVERY

    def __post_init__(self) -> None:
        """Check `save`.

        Raises:
            ConfigError: an unknown kind of output.
        """
        for name in self.save:
            if name not in SAVES:
                raise ConfigError(f"cannot save '{name}'", where="--save", fix=f"use {', '.join(SAVES)}")

    @property
    def way(self) -> str:
        """The direction that is meant."""
        return self.direction or ("both" if self.at is not None else "forward")


@dataclass(frozen=True)
class _Planned:
    """A sequence that can be run."""

    sequence: FrameSequence
    reader: FrameReader
    given: GivenMasks


def propagate(options: PropagateOptions, progress: Progress, *, dry_run: bool = False) -> dict[str, Any]:
    """Segment every sequence of the input and return the run's record.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.

    Raises:
        InputError: the input as a whole cannot be used.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    checkpoint = read_checkpoint(options.checkpoint or default_checkpoint("propagate"))
    sequences = find_sequences(options.frames)
    output = options.output or Path("runs") / "propagate" / (options.frames.resolve().stem or "root")
    _refuse_output_in_input(output, options.frames)
    planned, items = _plan(options, sequences, checkpoint, str(precision))
    facts = {
        "version": __version__,
        "command": options.command,
        "output": str(output),
        "checkpoint": {"name": checkpoint.name, "sha256": checkpoint.sha256},
        "device": _device_name(device),
        "precision": str(precision).removeprefix("torch."),
        "seed": options.seed,
        "use_masks": {name: p.given.use for name, p in planned.items()},
        "direction": options.way,
    }
    if dry_run:
        return {**facts, "plan": plan_rows(items, output, overwrite=options.overwrite)}
    torch.manual_seed(options.seed)
    if output.is_dir():
        clean_temporaries(output)
    predictor = _predictor(options, checkpoint, device, precision)
    return run_batch(
        items,
        partial(_run_sequence, options, output, planned, predictor, progress),
        output,
        facts,
        progress,
        overwrite=options.overwrite,
        conclude=lambda: {"review_first": write_confidence(output, [item.name for item in items])},
    )


def _plan(
    options: PropagateOptions, sequences: Sequence[FrameSequence], checkpoint: Checkpoint, precision: str
) -> tuple[dict[str, _Planned], list[WorkItem]]:
    """Open every sequence, find its masks and fingerprint it; what fails becomes an item that says why."""
    planned: dict[str, _Planned] = {}
    items = []
    for sequence in sequences:
        try:
            entry = _open(options, sequence, alone=len(sequences) == 1)
            key = fingerprint(
                [*sequence_files(sequence), *entry.given.files.values()],
                {
                    "checkpoint": checkpoint.sha256, "precision": precision, "use": entry.given.use,
                    "frames_of_masks": list(entry.given.files), "direction": options.way, "size": options.short_side,
                    "budget": options.budget, "update_rate": options.update_rate,
                    "merge_threshold": options.merge_threshold, "save": sorted(options.save),
                    "fix": options.fix_mask, "version": __version__,
                },
            )  # fmt: skip
            passes, left_out = plan_passes(entry.given, len(entry.reader), options.way)
        except VossegError as error:
            items.append(WorkItem(sequence.name, 0, None, error))
            continue
        planned[sequence.name] = entry
        frames = sum(len(way.indices()) for way in passes) + len(left_out)
        items.append(WorkItem(sequence.name, frames, key))
    return planned, items


def _open(options: PropagateOptions, sequence: FrameSequence, *, alone: bool) -> _Planned:
    reader = open_frames(sequence)
    given = find_given_masks(
        sequence, reader.names, reader.size, options.mask,
        at=options.at, use=options.use_masks, alone=alone, fix=options.fix_mask,
    )  # fmt: skip
    return _Planned(sequence, reader, given)


def _run_sequence(
    options: PropagateOptions,
    output: Path,
    planned: dict[str, _Planned],
    predictor: VideoPredictor,
    progress: Progress,
    item: WorkItem,
) -> tuple[int, tuple[str, ...]]:
    """Do one item of the batch: masks, then pictures, then the marker that says it is done."""
    entry = planned[item.name]
    key = item.key or ""
    job = SequenceJob(
        item.name, entry.reader, entry.given, options.way, output,
        "probabilities" in options.save, key, options.snapshot_every,
    )  # fmt: skip
    try:
        frames = segment_sequence(job, predictor, progress)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise DeviceError(
            f"out of memory ({str(error).splitlines()[0]})", where=item.name, fix="use a smaller --size or --budget"
        ) from error
    images, video = "overlay" in options.save, "video" in options.save
    if images or video:
        render_sequence(output, item.name, entry.reader, job.mask_path, images=images, video=video)
    outputs = [job.mask_path(name) for name in entry.reader.names]
    outputs += [overlay_path(output, item.name, name) for name in entry.reader.names] if images else []
    outputs += [video_path(output, item.name)] if video else []
    ItemState(output, item.name).mark_done(key, [str(p.relative_to(output)) for p in outputs], {"frames": frames})
    return frames, _notes(entry.given)


def _notes(given: GivenMasks) -> tuple[str, ...]:
    """What a person should know about how the masks were read."""
    first = given.read(min(given.files))
    notes = [first.note] if first.note else []
    if given.unmatched:
        notes.append(f"{len(given.unmatched)} masks are named like no frame, e.g. {given.unmatched[0].name}")
    return tuple(notes)


def _predictor(
    options: PropagateOptions, checkpoint: Checkpoint, device: torch.device, precision: torch.dtype
) -> VideoPredictor:
    system = get_system(checkpoint.header.system)
    network = build_network(checkpoint, system).to(device)
    return system.predictor(
        network, precision=precision, short_side=options.short_side, budget=options.budget,
        update_rate=options.update_rate, merge_threshold=options.merge_threshold,
    )  # fmt: skip


def _refuse_output_in_input(output: Path, frames: Path) -> None:
    """Masks written below the input would be taken for frames by the next run."""
    if frames.is_dir() and output.resolve().is_relative_to(frames.resolve()):
        raise InputError("lies inside the input folder", where=output, fix="give another folder with --output")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
