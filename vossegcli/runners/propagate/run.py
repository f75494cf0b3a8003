"""`vosseg propagate`: given masks to masks of whole videos, for one sequence or a tree of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.batch.command import Done, SingleItemCommand
from vossegcli.batch.run import run_command
from vossegcli.batch.work import Progress
from vossegcli.io.masks.label_maps import read_written_ids
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.sequences import find_sequences
from vossegcli.io.records.run_records import read_jsonl, sequence_files
from vossegcli.io.results.label_stacks import stack_path, write_label_stack
from vossegcli.io.results.overlay_video import overlay_path, render_sequence, video_path
from vossegcli.io.results.overlays import draw_overlay
from vossegcli.models.devices import expect_one_size
from vossegcli.runners.propagate.confidence import write_confidence
from vossegcli.runners.propagate.exports import export_sequence, write_object_names
from vossegcli.runners.propagate.given_masks import find_given_masks, plan_passes
from vossegcli.runners.propagate.mattes import MATTES, write_mattes
from vossegcli.runners.propagate.options import PropagateOptions, check_mask, masks_among
from vossegcli.runners.propagate.segment import PropagateItem, segment_sequence
from vossegcli.systems.base import VideoPredictor
from vossegcli.types import Frame, FrameSequence
from vossegcli.wording import counted


@dataclass(frozen=True)
class PropagateCommand(SingleItemCommand[PropagateOptions, FrameSequence, PropagateItem, VideoPredictor]):
    """The sequences of `vosseg propagate`."""

    @staticmethod
    def find(options: PropagateOptions) -> Sequence[FrameSequence]:
        """Find the sequences, and see that there are masks for them."""
        sequences = find_sequences(options.frames, without=masks_among(options.mask))
        check_mask(options, sequences)
        return sequences

    @property
    def adapt_steps(self) -> int:
        """Steps of training on the given masks before each sequence."""
        asked = self.options.adapt
        return int(self.model.config.adapt_steps) if asked is None else asked

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change the results of all sequences."""
        options = self.options
        return {
            "adapt": self.adapt_steps, "seed": options.seed if self.adapt_steps else None, "fix": options.fix_mask,
            "exact": options.exact_mask,
            "direction": options.way, "budget": options.budget, "update_rate": options.update_rate,
            "merge_threshold": options.merge_threshold,
        }  # fmt: skip

    @property
    def films(self) -> Iterator[Path]:
        """The videos and image stacks of the input."""
        return (sequence.video for sequence in self.inputs if sequence.video is not None)

    def plan(self, source: FrameSequence) -> PropagateItem:
        """Open a sequence and find its masks and the ways through it."""
        options = self.options
        reader = open_frames(source, options.reading)
        given = find_given_masks(source, reader.names, reader.size, options, alone=len(self.inputs) == 1)
        passes, left_out = plan_passes(given, len(reader), options.way)
        files = (*sequence_files(source), *given.inputs)
        chosen = {"objects": sorted(given.objects)} if given.objects else {}
        return PropagateItem(
            name=source.name, frames=len(left_out) + sum(way.written() for way in passes), is_folder=True,
            key=self.key(files, masks_on=list(given.files), use=given.use, **chosen), output=options.folder,
            reader=reader,
            given=given, passes=passes, left_out=left_out, probabilities="probabilities" in options.save,
            mattes=not {*MATTES}.isdisjoint(options.save), snapshot_every=options.snapshot_every,
            notes=(*source.notes, *reader.notes, *given.notes, *_notes_on(left_out, options.way)),
            frame_files=source.frames,
        )  # fmt: skip

    def write_index(self, items: Sequence[PropagateItem]) -> None:
        """Write the names of the objects, where the masks have names."""
        write_object_names(self.options.folder, items)

    def facts(self, items: Sequence[PropagateItem]) -> dict[str, Any]:
        """Direction, use of masks and adaptation for the run's record."""
        used = {item.name: item.given.use for item in items}
        return {"direction": self.options.way, "use_masks": used, "adapt": self.adapt_steps}

    def new_predictor(self, short_side: int | None) -> VideoPredictor:
        """Build the predictor; its memory is replaced by every sequence."""
        expect_one_size()
        options = self.options
        predictor: VideoPredictor = self.model.predictor(
            short_side=self.model.short_side if short_side is None else short_side or None, budget=options.budget,
            update_rate=options.update_rate, merge_threshold=options.merge_threshold,
        )  # fmt: skip
        return predictor

    def run(self, item: PropagateItem, predictor: VideoPredictor, progress: Progress) -> Done:
        """Adapt to a sequence, write its masks, then its pictures."""
        options = self.options
        images, video = "overlay" in options.save, "video" in options.save
        if self.adapt_steps:
            from vossegcli.runners.propagate.adaptation import adapt  # loads SciPy and all that training needs

            predictor = adapt(self.model, item, predictor, self.adapt_steps, options.seed, progress)
        frames = segment_sequence(item, predictor, progress)
        notes = (*([] if item.reader.scaling is None else [item.reader.scaling]), *item.given.later_notes)
        outputs = list(_outputs(item, images=images, video=video))
        if images or video:
            progress.item(f"drawing {item.name}")
            draw, fps = partial(_draw, item), options.fps
            notes += render_sequence(item.output, item.name, item.reader, draw, images=images, video=video, fps=fps)
        if "stack" in options.save:
            maps = (read_written_ids(item.mask_path(name)) for name in item.reader.names)
            path = stack_path(item.output, item.name)
            write_label_stack(path, maps, len(item.reader), item.reader.size, options.fps)
            outputs.append(path)
        outputs += write_mattes(item, options.save, options.fps)
        return Done(frames, [*outputs, *export_sequence(item, options.save)], notes)

    def write_tables(self, done: Sequence[PropagateItem]) -> dict[str, Any]:
        """Write `confidence.csv`."""
        return {"review_first": write_confidence(self.options.folder, [item.name for item in done])}


#: Segments every sequence of an input; takes `PropagateOptions`, and the rest as `run_command` does.
propagate = partial(run_command, PropagateCommand)


def _notes_on(left_out: range, direction: str) -> tuple[str, ...]:
    """Tell that frames on the other side of the given masks are not segmented."""
    if not left_out:
        return ()
    side = "after the last" if direction == "backward" else "before the first"
    return (
        counted(
            len(left_out), f"frame[|s] {side} given mask [was|were] left empty: --direction both segments [it|them] too"
        ),
    )


def _draw(item: PropagateItem, frame: Frame) -> npt.NDArray[np.uint8]:
    return draw_overlay(frame.image, read_written_ids(item.mask_path(frame.name)))


def _outputs(item: PropagateItem, *, images: bool, video: bool) -> Iterator[Path]:
    """The files that a finished sequence consists of."""
    for name in item.reader.names:
        yield item.mask_path(name)
        if images:
            yield overlay_path(item.output, item.name, name)
    if video:
        yield video_path(item.output, item.name)
    if item.probabilities:
        for row in read_jsonl(item.state.rows):
            yield item.probability_path(row["frame"], row["object"])
