"""`vosseg propagate`: given masks to masks of whole videos, for one sequence or a tree of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli import __version__
from vossegcli.batch.batch import Batch, Executor, Progress, Work, WorkItem
from vossegcli.batch.run import InProcess, plan_batch, run_batch
from vossegcli.errors import VossegError
from vossegcli.io.masks.label_maps import read_written_ids
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.media.sequences import find_sequences
from vossegcli.io.records.atomic import clean_temporaries
from vossegcli.io.records.run_records import fingerprint, read_jsonl, sequence_files
from vossegcli.io.results.overlay_video import overlay_path, render_sequence, video_path
from vossegcli.io.results.overlays import draw_overlay
from vossegcli.models.chosen_model import choose_model
from vossegcli.models.devices import memory_errors
from vossegcli.runners.propagate.adaptation import adapt, adapt_steps
from vossegcli.runners.propagate.confidence import write_confidence
from vossegcli.runners.propagate.given_masks import find_given_masks, plan_passes
from vossegcli.runners.propagate.options import PropagateOptions, check_mask, check_output
from vossegcli.runners.propagate.segment import SequenceJob, segment_sequence
from vossegcli.systems.base import VideoPredictor
from vossegcli.types import Frame, FrameSequence


@dataclass(frozen=True)
class PropagateBatch(Batch[PropagateOptions, VideoPredictor]):
    """The sequences of `vosseg propagate`.

    Attributes:
        jobs: what is to be done with each sequence that can be opened.
        adapt_steps: steps of training on the given masks before each.
    """

    jobs: dict[str, SequenceJob]
    adapt_steps: int

    def new_predictor(self, short_side: int | None) -> VideoPredictor:
        """Build the predictor; its memory is replaced by every sequence."""
        options = self.options
        side = self.model.short_side if short_side is None else short_side or None
        predictor: VideoPredictor = self.model.predictor(
            short_side=side, budget=options.budget, update_rate=options.update_rate,
            merge_threshold=options.merge_threshold,
        )  # fmt: skip
        return predictor

    @contextmanager
    def open(self, items: Sequence[WorkItem], predictor: VideoPredictor, progress: Progress) -> Iterator[Work]:
        """Give what segments a sequence."""

        def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
            job = self.jobs[item.name]
            with memory_errors(job.name):
                adapted = adapt(self.model, job, predictor, self.adapt_steps, self.options.seed, progress)
            return _run_sequence(job, self.options.save, adapted, progress), job.given.notes

        yield work

    def conclude(self) -> dict[str, Any]:
        """Write `confidence.csv`."""
        return {"review_first": write_confidence(self.options.folder, [item.name for item in self.items])}


def propagate(
    options: PropagateOptions, progress: Progress, *, dry_run: bool = False, executor: Executor | None = None
) -> dict[str, Any]:
    """Segment every sequence of the input and return the run's record.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.
        executor: has the sequences segmented; None = in this process.

    Raises:
        InputError: the input as a whole cannot be used, or the output folder not written.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    limit_pixels(options.max_pixels)
    sequences = find_sequences(options.frames)
    check_mask(options, sequences)
    check_output(options)
    model = choose_model("propagate", options.checkpoint, options.device, options.precision)
    steps = adapt_steps(model, options.adapt)
    settings = {**model.settings, "adapt": steps, "seed": options.seed if steps else None}
    jobs, items = _plan(options, sequences, settings)
    used = {name: job.given.use for name, job in jobs.items()}
    facts = options.facts(options.frames.resolve(), model, direction=options.way, use_masks=used, adapt=steps)
    batch = PropagateBatch(options, model, tuple(items), facts, jobs, steps)
    return plan_batch(batch) if dry_run else run_batch(batch, progress, executor or InProcess())


def _plan(
    options: PropagateOptions, sequences: Sequence[FrameSequence], settings: Mapping[str, Any]
) -> tuple[dict[str, SequenceJob], list[WorkItem]]:
    """Open every sequence, find its masks and fingerprint it; what fails becomes an item that says why."""
    jobs: dict[str, SequenceJob] = {}
    items = []
    for sequence in sequences:
        try:
            job = _job(options, sequence, settings, alone=len(sequences) == 1)
        except VossegError as error:
            items.append(WorkItem(sequence.name, 0, "", error))
        else:
            jobs[sequence.name] = job
            items.append(WorkItem(sequence.name, job.frames, job.key))
    return jobs, items


def _job(
    options: PropagateOptions, sequence: FrameSequence, settings: Mapping[str, Any], *, alone: bool
) -> SequenceJob:
    """Say what is to be done with a sequence; its key covers everything that changes the result."""
    reader = open_frames(sequence)
    given = find_given_masks(sequence, reader.names, reader.size, options.masks, alone=alone)
    passes, left_out = plan_passes(given, len(reader), options.way)
    key = fingerprint(
        [*sequence_files(sequence), *given.files.values()],
        {
            **settings, "version": __version__, "masks_on": list(given.files), "use": given.use,
            "fix": options.fix_mask, "direction": options.way, "size": options.short_side,
            "budget": options.budget, "update_rate": options.update_rate,
            "merge_threshold": options.merge_threshold, "save": sorted({"masks", *options.save}),
        },
    )  # fmt: skip
    return SequenceJob(
        sequence.name, reader, given, passes, left_out, options.folder,
        "probabilities" in options.save, key, options.snapshot_every,
    )  # fmt: skip


def _run_sequence(job: SequenceJob, save: Sequence[str], predictor: VideoPredictor, progress: Progress) -> int:
    """Do one item of the batch: masks, then pictures, then the marker that says it is done."""
    images, video = "overlay" in save, "video" in save
    for kind in ("masks", "overlay", "probabilities"):
        for folder in (job.output / kind / job.name).glob("**/"):
            clean_temporaries(folder)
    for folder in (video_path(job.output, job.name).parent, job.state.marker.parent, job.output):
        clean_temporaries(folder)
    with memory_errors(job.name):
        frames = segment_sequence(job, predictor, progress)
    if images or video:
        progress.item(f"drawing {job.name}")

        def draw(frame: Frame) -> npt.NDArray[np.uint8]:
            return draw_overlay(frame.image, read_written_ids(job.mask_path(frame.name)))

        render_sequence(job.output, job.name, job.reader, draw, images=images, video=video)
    job.state.mark_done(job.key, _outputs(job, images=images, video=video), {"frames": frames})
    return frames


def _outputs(job: SequenceJob, *, images: bool, video: bool) -> Iterator[Path]:
    """The files that a finished sequence consists of."""
    for name in job.reader.names:
        yield job.mask_path(name)
        if images:
            yield overlay_path(job.output, job.name, name)
    if video:
        yield video_path(job.output, job.name)
    if job.probabilities:
        for row in read_jsonl(job.state.rows):
            yield job.probability_path(row["frame"], row["object"])
