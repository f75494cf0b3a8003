"""`vosseg track`: videos to instances with identities, as YouTube-VIS results, maps of ids, overlays and videos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vossegcli import __version__
from vossegcli.batch.batch import Batch, Executor, Progress, Work, WorkItem
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.run import InProcess, plan_batch, run_batch
from vossegcli.errors import ConfigError, VossegError
from vossegcli.io.datasets.image_ids import find_video_ids, read_category_ids
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.media.sequences import find_sequences, folder_name
from vossegcli.io.records.atomic import clean_temporaries, write_lines_atomic, write_text_atomic
from vossegcli.io.records.run_records import fingerprint, read_jsonl, sequence_files
from vossegcli.io.records.tables import write_csv
from vossegcli.io.results.overlay_video import overlay_path, render_sequence, video_path
from vossegcli.models.chosen_model import check_classes, check_score, choose_model
from vossegcli.models.devices import memory_errors
from vossegcli.runners.track.follow import TrackJob, follow_sequence
from vossegcli.runners.track.results import (
    Track,
    captions_of,
    collect_tracks,
    ids_maps,
    masklets_path,
    write_masklets,
)
from vossegcli.systems.base import TrackPredictor
from vossegcli.types import FrameSequence

FIELDS = ("sequence", "track", "class", "score", "first", "last", "frames", "area")
SNAPSHOT_EVERY = 200


@dataclass(frozen=True, kw_only=True)
class TrackOptions(BatchOptions):
    """What the command line gives; see `vosseg track --help`.

    Attributes:
        frames: folder of frames, video file, or root.
        annotations: YouTube-VIS file that gives the ids of videos and categories, or None.
        score_threshold: tracks below it are neither drawn nor counted; None = the checkpoint's.
        classes: names of the classes that are wanted; empty = all.
        key_every: frames from one key frame to the next; None = the checkpoint's.
        max_gap: frames that an identity outlives without being seen.
        snapshot_every: frames between snapshots of an unfinished sequence.
    """

    COMMAND = "track"
    SAVES = ("masks", "coco", "overlay", "video")

    frames: Path
    annotations: Path | None = None
    score_threshold: float | None = None
    classes: tuple[str, ...] = ()
    key_every: int | None = None
    max_gap: int = 15
    snapshot_every: int = SNAPSHOT_EVERY
    save: tuple[str, ...] = ("masks", "coco")

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        super().__post_init__()
        check_score(self.score_threshold)
        for name, least in (("key_every", 1), ("max_gap", 0), ("snapshot_every", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name.replace('_', '-')} is {value}", fix=f"give {least} or more")

    @property
    def input_name(self) -> str:
        """What the default output folder is called after."""
        return folder_name(self.frames) if self.frames.is_dir() else self.frames.stem


@dataclass(frozen=True)
class TrackBatch(Batch[TrackOptions, TrackPredictor]):
    """The sequences of `vosseg track`.

    Attributes:
        jobs: what is to be done with each sequence that can be opened.
        least: score from which on tracks are drawn.
        category_ids: of the classes, in the order of the labels.
        video_ids: of the sequences.
    """

    jobs: dict[str, TrackJob]
    least: float
    category_ids: tuple[int, ...]
    video_ids: dict[str, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.checkpoint.header.labels

    def is_wanted(self, found: Track) -> bool:
        """Whether a track is of a class that was asked for."""
        return not self.options.classes or self.labels[found.label] in self.options.classes

    def begin(self) -> None:
        """Write which sequence and which class has which id."""
        folder = self.options.folder
        listed = [{"id": self.video_ids[n], "name": n, "length": len(job.reader)} for n, job in self.jobs.items()]
        write_text_atomic(folder / "videos.json", json.dumps(listed, indent=1) + "\n")
        write_text_atomic(folder / "classes.json", json.dumps(self.facts["classes"], indent=1) + "\n")

    def new_predictor(self, short_side: int | None) -> TrackPredictor:
        """Build the predictor; every sequence starts it anew."""
        predictor: TrackPredictor = self.model.predictor(
            short_side=short_side, key_every=self.options.key_every, max_gap=self.options.max_gap, weakest=self.least
        )
        return predictor

    @contextmanager
    def open(self, items: Sequence[WorkItem], predictor: TrackPredictor, progress: Progress) -> Iterator[Work]:
        """Give what follows the instances of a sequence."""

        def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
            job = self.jobs[item.name]
            for folder in _folders(job):
                clean_temporaries(folder)
            with memory_errors(job.name):
                frames = follow_sequence(job, predictor, progress)
            progress.item(f"drawing {job.name}")
            job.state.mark_done(job.key, list(_draw(self, job)), {"frames": len(job.reader)})
            return frames, ()

        yield work

    def conclude(self) -> dict[str, Any]:
        """Write `tracks.csv` and `tracks.json` of the sequences that are done."""
        done = {name: job for name, job in self.jobs.items() if job.state.plan(job.key)[0] == "skip"}
        return {"tracks": _write_tables(self, done)}


def track(
    options: TrackOptions, progress: Progress, *, dry_run: bool = False, executor: Executor | None = None
) -> dict[str, Any]:
    """Follow the instances of every sequence and return the run's record.

    Args:
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.
        executor: has the sequences done; None = in this process.

    Raises:
        InputError: the input or the annotations cannot be used, or the output folder not written.
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
    """
    limit_pixels(options.max_pixels)
    sequences = find_sequences(options.frames)
    options.check_folder(options.frames)
    model = choose_model("track", options.checkpoint, options.device, options.precision)
    labels = model.checkpoint.header.labels
    check_classes(options.classes, labels)
    video_ids = find_video_ids(sequences, options.annotations)
    least, category_ids = model.draw_score(options.score_threshold), read_category_ids(labels, options.annotations)
    settings = {
        "version": __version__, **model.settings, "size": options.short_side, "key_every": options.key_every,
        "max_gap": options.max_gap, "threshold": least, "classes": sorted(options.classes),
        "save": sorted(options.save),
    }  # fmt: skip
    jobs, items = _plan(options, sequences, settings)
    facts = options.facts(
        options.frames.resolve(), model, classes=dict(zip(map(str, category_ids), labels, strict=True))
    )
    batch = TrackBatch(options, model, tuple(items), facts, jobs, least, category_ids, video_ids)
    return plan_batch(batch) if dry_run else run_batch(batch, progress, executor or InProcess())


def _plan(
    options: TrackOptions, sequences: Sequence[FrameSequence], settings: Mapping[str, Any]
) -> tuple[dict[str, TrackJob], list[WorkItem]]:
    """Open every sequence and fingerprint it; what fails becomes an item that says why."""
    jobs: dict[str, TrackJob] = {}
    items = []
    for sequence in sequences:
        try:
            reader = open_frames(sequence)
            key = fingerprint(sequence_files(sequence), settings)
            count = len(reader)
        except VossegError as error:
            items.append(WorkItem(sequence.name, 0, "", error))
        else:
            jobs[sequence.name] = TrackJob(sequence.name, reader, options.folder, key, options.snapshot_every)
            items.append(WorkItem(sequence.name, count, key))
    return jobs, items


def _folders(job: TrackJob) -> Iterator[Path]:
    """Where files of a sequence go, some of which a killed run may have left unfinished."""
    output = job.output
    yield from (output / "masks" / job.name, output / "overlay" / job.name, output, job.state.marker.parent)
    yield video_path(output, job.name).parent


def _draw(batch: TrackBatch, job: TrackJob) -> Iterator[Path]:
    """Write what was asked for of a finished sequence; yields the files."""
    save, output = batch.options.save, job.output
    tracks = [found for found in collect_tracks(job.state.rows) if batch.is_wanted(found)]
    drawn = [found for found in tracks if found.score >= batch.least]
    if "coco" in save:
        yield write_masklets(job, tracks)
    if "masks" in save:
        yield from ids_maps(job, drawn)
    images, video = "overlay" in save, "video" in save
    if images or video:
        render_sequence(output, job.name, job.reader, captions_of(job, drawn, batch.labels), images=images, video=video)
    if images:
        yield from (overlay_path(output, job.name, name) for name in job.reader.names)
    if video:
        yield video_path(output, job.name)


def _write_tables(batch: TrackBatch, jobs: Mapping[str, TrackJob]) -> int:
    """Write `tracks.csv` and, if asked for, `tracks.json`; returns how many tracks were drawn."""
    options = batch.options
    table = []
    for name, job in jobs.items():
        tracks = [found for found in collect_tracks(job.state.rows) if batch.is_wanted(found)]
        for number, found in enumerate((t for t in tracks if t.score >= batch.least), start=1):
            table.append({
                "sequence": name, "track": number, "class": batch.labels[found.label], "score": round(found.score, 4),
                "first": job.reader.names[found.first], "last": job.reader.names[found.last],
                "frames": found.frames, "area": round(found.area / found.frames, 1),
            })  # fmt: skip
    write_csv(options.folder / "tracks.csv", FIELDS, table)
    if "coco" in options.save:
        write_lines_atomic(options.folder / "tracks.json", _results(batch, jobs))
    return len(table)


def _results(batch: TrackBatch, jobs: Mapping[str, TrackJob]) -> Iterator[str]:
    """The lines of a JSON list of YouTube-VIS results, a track a line; the weak ones too."""
    before = "["
    for name, job in jobs.items():
        for masklet in read_jsonl(masklets_path(job)):
            result = {
                "video_id": batch.video_ids[name], "category_id": batch.category_ids[masklet["label"]],
                "score": masklet["score"], "segmentations": masklet["segmentations"],
            }  # fmt: skip
            yield before + json.dumps(result)
            before = ",\n"
    yield "]\n" if before != "[" else "[]\n"
