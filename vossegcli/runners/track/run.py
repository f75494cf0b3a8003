"""`vosseg track`: videos to instances with identities, as YouTube-VIS results, maps of ids, overlays and videos."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from vossegcli.batch.command import Done, SingleItemCommand
from vossegcli.batch.options import BatchOptions, check_fps, idle_fps
from vossegcli.batch.run import run_command
from vossegcli.batch.work import Progress
from vossegcli.errors import ConfigError
from vossegcli.io.datasets.image_ids import find_video_ids, read_category_ids
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.sequences import find_sequences, input_name
from vossegcli.io.records.atomic import write_lines_atomic, write_text_atomic
from vossegcli.io.records.run_records import read_jsonl, sequence_files
from vossegcli.io.records.tables import write_csv
from vossegcli.io.results.ctc import write_ctc
from vossegcli.io.results.label_stacks import stack_path, write_label_stack
from vossegcli.io.results.overlay_video import overlay_path, render_sequence, video_path
from vossegcli.models.chosen_model import ChosenModel, check_classes, check_score
from vossegcli.models.devices import expect_one_size
from vossegcli.runners.track.divisions import Lineage, find_divisions, lineage_of
from vossegcli.runners.track.follow import TrackItem, follow_sequence
from vossegcli.runners.track.results import (
    Followed,
    captions_of,
    id_maps,
    write_id_maps,
    write_masklets,
    youtube_vis_lines,
)
from vossegcli.runners.track.tracks import Row, Track, collect_tracks
from vossegcli.systems.base import TrackPredictor
from vossegcli.types import FrameSequence

FIELDS = ("sequence", "track", "class", "score", "first", "last", "frames", "area", "parent")
SNAPSHOT_EVERY = 200


@dataclass(frozen=True, kw_only=True)
class TrackOptions(BatchOptions):
    """Options of a run; see `vosseg track --help`.

    Attributes:
        frames: folder of frames, video file, or root.
        annotations: YouTube-VIS file that gives the ids of videos and categories, or None.
        score_threshold: tracks below it are neither drawn nor counted; None = the checkpoint's.
        classes: names of the classes that are wanted; empty = all.
        key_every: frames from one key frame to the next; None = the checkpoint's.
        max_gap: frames that an identity outlives without being seen.
        divide: whether a track ends where its object divides, and two begin.
        fps: frames a second of the overlay videos, or None for those of the input.
        snapshot_every: frames between snapshots of an unfinished sequence.
    """

    COMMAND = "track"
    SAVES = {
        "masks": ("masks/{files}.png",),
        "coco": (),
        "overlay": ("overlay/{files}.jpg",),
        "ctc": ("ctc/{name}/*.tif", "ctc/{name}/res_track.txt"),
        "video": ("video/{name}.mp4",),
        "stack": ("stack/{name}.tif",),
    }

    frames: Path
    annotations: Path | None = None
    score_threshold: float | None = None
    classes: tuple[str, ...] = ()
    key_every: int | None = None
    max_gap: int = 15
    divide: bool = False
    fps: float | None = None
    snapshot_every: int = SNAPSHOT_EVERY
    save: tuple[str, ...] = ("masks", "coco")

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown kind of output, or a number out of range.
        """
        super().__post_init__()
        check_score(self.score_threshold)
        check_fps(self.fps)
        for name, lowest in (("key_every", 1), ("max_gap", 0), ("snapshot_every", 1)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ConfigError(f"{name.replace('_', '-')} is {value}", fix=f"give {lowest} or more")

    @property
    def source(self) -> Path:
        """Folder, video file or root that is the input."""
        return self.frames

    @property
    def input_name(self) -> str:
        """Name of the default output folder."""
        return input_name(self.frames)

    def idle(self, films: Iterable[Path]) -> list[str]:
        """Tell of options that were given and have no effect on this input."""
        return [*super().idle(films), *idle_fps(self.fps, self.save, ("video", "stack"))]


@dataclass(frozen=True)
class TrackCommand(SingleItemCommand[TrackOptions, FrameSequence, TrackItem, TrackPredictor]):
    """The sequences of `vosseg track`.

    Attributes:
        score_threshold: tracks below it are not drawn.
        category_ids: of the classes, in the order of the labels.
        video_ids: of the sequences.
    """

    score_threshold: float
    category_ids: tuple[int, ...]
    video_ids: dict[str, int | str]

    @staticmethod
    def find(options: TrackOptions) -> Sequence[FrameSequence]:
        """Find the sequences."""
        return find_sequences(options.frames)

    @classmethod
    def prepare(cls, options: TrackOptions, model: ChosenModel, inputs: Sequence[FrameSequence]) -> Self:
        """Read the ids of videos and categories."""
        check_classes(options.classes, model.labels)
        return cls(
            options, model, inputs, model.draw_score(options.score_threshold),
            read_category_ids(model.labels, options.annotations), find_video_ids(inputs, options.annotations),
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change the results of all sequences."""
        options = self.options
        return {
            "key_every": options.key_every, "max_gap": options.max_gap, "threshold": self.score_threshold,
            "classes": sorted(options.classes), "divide": options.divide,
        }  # fmt: skip

    @property
    def films(self) -> Iterator[Path]:
        """The videos and image stacks of the input."""
        return (sequence.video for sequence in self.inputs if sequence.video is not None)

    def plan(self, source: FrameSequence) -> TrackItem:
        """Open a sequence."""
        reader = open_frames(source, self.options.reading)
        _ = reader.size  # the tables at the end need it, when the frames may have gone
        return TrackItem(
            name=source.name, frames=len(reader), is_folder=True, key=self.key(sequence_files(source)),
            output=self.options.folder, reader=reader, video_id=self.video_ids[source.name],
            snapshot_every=self.options.snapshot_every, notes=(*source.notes, *reader.notes),
        )  # fmt: skip

    def facts(self, items: Sequence[TrackItem]) -> dict[str, Any]:  # noqa: ARG002
        """The classes for the run's record."""
        return {"classes": dict(zip(map(str, self.category_ids), self.model.labels, strict=True))}

    def write_index(self, items: Sequence[TrackItem]) -> None:
        """Write which sequence and which class has which id."""
        folder = self.options.folder
        listed = [{"id": item.video_id, "name": item.name, "length": item.frames} for item in items]
        write_text_atomic(folder / "videos.json", json.dumps(listed, indent=1) + "\n")
        write_text_atomic(folder / "classes.json", json.dumps(self.facts(items)["classes"], indent=1) + "\n")

    def new_predictor(self, short_side: int | None) -> TrackPredictor:
        """Build the predictor; every sequence starts it anew."""
        expect_one_size()
        options = self.options
        predictor: TrackPredictor = self.model.predictor(
            short_side=short_side,
            key_every=options.key_every,
            max_gap=options.max_gap,
            birth_threshold=self.score_threshold,
        )
        return predictor

    def run(self, item: TrackItem, predictor: TrackPredictor, progress: Progress) -> Done:
        """Write the rows of a sequence, then what was asked for."""
        frames = follow_sequence(item, predictor, progress)
        progress.item(f"drawing {item.name}")
        notes = [] if item.reader.scaling is None else [item.reader.scaling]
        return Done(frames, list(self._draw(item, notes)), tuple(notes))

    def write_tables(self, done: Sequence[TrackItem]) -> dict[str, Any]:
        """Write `tracks.csv` and, if asked for, `tracks.json`."""
        output = self.options.folder
        table = [row for item in done for row in self._table(item)]
        write_csv(output / "tracks.csv", FIELDS, table)
        if "coco" in self.options.save:
            write_lines_atomic(output / "tracks.json", youtube_vis_lines(done, self.category_ids))
        else:
            (output / "tracks.json").unlink(missing_ok=True)
        return {"tracks": len(table)}

    def followed(self, item: TrackItem) -> Followed:
        """The tracks of a finished sequence of the classes that were asked for."""
        rows = item.state.rows
        tracks = self._wanted(read_jsonl(rows))
        drawn = [track for track in tracks if track.score >= self.score_threshold]
        if not self.options.divide:
            return Followed(item, Lineage(), tracks, drawn)
        divisions = find_divisions(read_jsonl(rows), drawn, item.reader.size, len(item.reader))
        lineage = lineage_of(divisions, 1 + max((row["id"] for row in read_jsonl(rows)), default=0))
        parts = collect_tracks(lineage.renamed(read_jsonl(rows)))
        return Followed(item, lineage, lineage.parts_of(tracks, parts), lineage.parts_of(drawn, parts))

    def _wanted(self, rows: Iterable[Row]) -> list[Track]:
        wanted = set(self.options.classes or self.model.labels)
        return [track for track in collect_tracks(rows) if self.model.labels[track.label] in wanted]

    def _table(self, item: TrackItem) -> Iterator[dict[str, Any]]:
        names, followed = item.reader.names, self.followed(item)
        parents = followed.parents()
        for number, found in enumerate(followed.drawn, start=1):
            yield {
                "sequence": item.name, "track": number, "class": self.model.labels[found.label],
                "score": round(found.score, 4), "first": names[found.first], "last": names[found.last],
                "frames": found.frames, "area": round(found.area / found.frames, 1),
                "parent": parents.get(number, ""),
            }  # fmt: skip

    def _draw(self, item: TrackItem, notes: list[str]) -> Iterator[Path]:
        """Write what was asked for of a finished sequence; yields the files, and adds notes."""
        save, output = self.options.save, item.output
        followed = self.followed(item)
        if "coco" in save:
            yield write_masklets(followed)
        if "masks" in save:
            yield from write_id_maps(followed)
        images, video = "overlay" in save, "video" in save
        if images or video:
            draw = captions_of(followed, self.model.labels)
            fps = self.options.fps
            notes += render_sequence(output, item.name, item.reader, draw, images=images, video=video, fps=fps)
        if images:
            yield from (overlay_path(output, item.name, name) for name in item.reader.names)
        if video:
            yield video_path(output, item.name)
        if "ctc" in save:
            yield from write_ctc(output / "ctc" / item.name, id_maps(followed), item.frames, followed.parents())
        if "stack" in save:
            path = stack_path(output, item.name)
            write_label_stack(path, id_maps(followed), len(item.reader), item.reader.size, self.options.fps)
            yield path


#: Follows the instances of every sequence; takes `TrackOptions`, and the rest as `run_command` does.
track = partial(run_command, TrackCommand)
