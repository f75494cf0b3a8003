"""The given masks of a sequence, their frames, and the order in which the frames are visited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.datasets.mask_files import find_mask_files
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.masks.shared_ids import SharedIds, shared_ids
from vossegcli.io.media.frame_numbers import find_frame
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.types import FrameSequence, LabelMap

TOLD = 5  # kinds of notes on later masks, of which each may be of another number of pixels
FIRST_ONLY_LAYOUTS = frozenset({"davis", "long-video"})


@dataclass(frozen=True)
class GivenMasks:
    """The masks that are taken for one sequence.

    Attributes:
        files: mask file by frame index, ascending; the first on the way holds an object.
        use: `first`, `new` or `all`.
        size: (H,W) of the frames.
        fix: repair anti-aliased or misshapen masks.
        exact: take every value as it is, whatever its edges look like.
        objects: ids that are taken of each mask; empty = all.
        notes: what a person should know about how they were found and read.
        sources: the files that the masks were made of, where they were made.
        names: of the objects, by id, where the source names them.
        shared: what the values of all masks mean together.
        held: ids of the masks that were read, by frame index: most questions need no pixels.
        told: what was interpreted in the masks that were read, by frame index.
    """

    files: Mapping[int, Path]
    use: str
    size: tuple[int, int]
    fix: bool = False
    exact: bool = False
    objects: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    shared: SharedIds = field(default_factory=SharedIds)
    held: dict[int, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)
    told: dict[int, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files of the user that they come from."""
        return self.sources or tuple(self.files.values())

    def read(self, index: int) -> LabelMap:
        """Read what is taken of the mask of a frame; it may be empty.

        Raises:
            InputError: it cannot be used.
        """
        found = self.read_whole(index)
        if not self.objects:
            return found
        kept = found.ids_map.copy()
        kept[~np.isin(kept, self.objects)] = 0
        return replace(found, ids_map=kept, ids=self.ids(index))

    def read_whole(self, index: int) -> LabelMap:
        """Read the mask of a frame, also the objects that are not taken.

        Raises:
            InputError: it cannot be used.
        """
        path = self.files[index]
        try:
            found = read_label_map(path, size=self.size, fix=self.fix, exact=self.exact, allow_empty=True)
            found = self.shared.apply(path, found)
        except InputError as error:
            if not self.sources:
                raise
            made_of = self.sources[0] if len(self.sources) == 1 else self.sources[0].parent
            raise InputError(error.what, where=f"{made_of}, mask of {path.stem}", fix=error.fix) from error
        self.held[index] = found.ids
        if found.note is not None and not self.shared.table:
            self.told[index] = found.note
        return found

    @property
    def later_notes(self) -> tuple[str, ...]:
        """Notes on masks that were read, of what is not said of the first one."""
        files: dict[str, list[str]] = {}
        for index, note in sorted(self.told.items()):
            if note not in self.notes and index in self.files:
                files.setdefault(note, []).append(self.files[index].stem)
        told = [
            f"mask of {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
            for note, names in files.items()
        ]
        more = [f"... and {len(told) - TOLD} more notes on masks"] if len(told) > TOLD else []
        return (*told[:TOLD], *more)

    def ids(self, index: int) -> tuple[int, ...]:
        """Say which objects are taken of the mask of a frame.

        Raises:
            InputError: it cannot be used.
        """
        return tuple(i for i in self.all_ids(index) if not self.objects or i in self.objects)

    def all_ids(self, index: int) -> tuple[int, ...]:
        """Say which objects the mask of a frame holds, also those that are not taken.

        Raises:
            InputError: it cannot be used.
        """
        return self.held[index] if index in self.held else self.read_whole(index).ids


@dataclass(frozen=True)
class Pass:
    """One way through the video.

    Attributes:
        start: index of the first frame that is visited; its mask is given.
        stop: index after the last frame, or before it when reversed (may be -1).
        reverse: towards the first frame.
        only: for each object id, the frame before which this pass has the say; empty = everywhere.
    """

    start: int
    stop: int
    reverse: bool = False
    only: Mapping[int, int] = field(default_factory=dict)

    def indices(self) -> range:
        """Frame indices in the order of the pass."""
        return range(self.start, self.stop, -1 if self.reverse else 1)

    def written(self, done: int | None = None) -> int:
        """Of the first `done` frames (None = all), how many it writes: a second pass writes not its start."""
        visited = len(self.indices()) if done is None else done
        return max(0, visited - 1) if self.only else visited

    def decided(self, ids: Sequence[int], index: int) -> tuple[int, ...]:
        """The objects on which this pass has the say in a frame."""
        return tuple(i for i in ids if not self.only or index < self.only[i])


def find_given_masks(
    sequence: FrameSequence, names: Sequence[str], size: tuple[int, int], options: PropagateOptions, *, alone: bool
) -> GivenMasks:
    """Find the masks of one sequence.

    Args:
        sequence: the sequence.
        names: of its frames.
        size: (H,W) of its frames.
        options: what the user said.
        alone: the sequence is the only one of the input.

    Raises:
        InputError: no mask, none that belongs to a frame, or none with an object.
    """
    path, at = options.mask or sequence.masks, options.at
    if path is None:
        raise InputError("no mask is given", where=sequence.name, fix="give one with --mask")
    use = options.use_masks or ("first" if sequence.layout in FIRST_ONLY_LAYOUTS else "new")
    alone = alone or options.mask is None
    below = sequence.frames[0].parent if sequence.frames else None
    found = find_mask_files(
        path, sequence.name, names, options.made_masks, alone=alone, on_top=options.objects,
        images=options.frames if options.frames.is_dir() else below,
    )  # fmt: skip
    files, notes = found.files, list(found.notes)
    if found.single is not None or (at is not None and len(files) == 1):
        index, note = (0, None) if at is None else find_frame(names, at, sequence.name)
        notes += [] if note is None else [note]
        files = {index: found.single or next(iter(files.values()))}
    given = GivenMasks(files, use, size, options.fix_mask, options.exact_mask, sources=found.sources, names=found.names)
    if use != "first" and len(files) > 1:
        given = replace(given, shared=shared_ids(given.read_whole(index) for index in files), held={})
    if options.objects:
        _check_objects(given, path, options.objects)
        given = replace(given, objects=options.objects)
    return _from_the_first_object(given, path, backward=options.way == "backward", notes=notes)


def plan_passes(given: GivenMasks, frames: int, direction: str) -> tuple[tuple[Pass, ...], range]:
    """Decide the ways through the video, and which frames no pass reaches (their masks stay empty).

    Args:
        given: the masks.
        frames: number of frames.
        direction: `forward`, `backward` or `both`.

    Returns:
        The passes in order and the indices that are left out.
    """
    first, last = min(given.files), max(given.files)
    if direction == "backward":
        return (Pass(last, -1, reverse=True),), range(last + 1, frames)
    forward = Pass(first, frames)
    if direction == "forward":
        return (forward,), range(first)
    appears = first_frames(given)
    start = max(appears.values())
    return (forward, Pass(start, -1, reverse=True, only=appears))[: 2 if start else 1], range(0)


def first_frames(given: GivenMasks) -> dict[int, int]:
    """The first frame on which each object is annotated."""
    appears: dict[int, int] = {}
    for index in given.files:
        for object_id in given.ids(index):
            appears.setdefault(object_id, index)
    return appears


def wanted_on(given: GivenMasks, index: int, start: int, known: Sequence[int]) -> npt.NDArray[np.integer] | None:
    """The part of a frame's mask that counts on the way: new objects only, or all of them.

    Args:
        given: the masks.
        index: the frame.
        start: the first frame of the pass, whose mask is taken already.
        known: ids that are followed already.

    Returns:
        (H,W) ids, or None when there is nothing to take.
    """
    if index == start or index not in given.files:
        return None
    wanted = [i for i in given.ids(index) if given.use == "all" or i not in known]
    if not wanted:
        return None
    ids_map = given.read(index).ids_map
    return ids_map if given.use == "all" else np.where(np.isin(ids_map, wanted), ids_map, 0)


def absences(given: GivenMasks, way: Pass) -> dict[int, frozenset[int]]:
    """Say from which frames on, on the way, which objects are gone, because a mask of all masks shows none.

    Args:
        given: the masks.
        way: through the video.

    Returns:
        the objects that are gone from a frame on, by its index, until the next one.
    """
    if given.use != "all":
        return {}
    known: set[int] = set()
    gone: frozenset[int] = frozenset()
    changes = {}
    for index in way.indices():
        if index not in given.files:
            continue
        shown = given.all_ids(index)  # one of other objects alone says nothing of those that are taken
        known |= {i for i in shown if not given.objects or i in given.objects}
        now = gone - set(shown) if shown else frozenset(known)
        if now != gone:
            gone = changes[index] = now
    return changes


def _check_objects(given: GivenMasks, path: Path, objects: Sequence[int]) -> None:
    """Refuse ids that no mask holds.

    Raises:
        InputError: there is such an id.
    """
    held = sorted({i for index in given.files for i in given.all_ids(index)})
    missing = sorted(set(objects) - set(held))
    if missing:
        what = f"has no object {missing[0]}"
        raise InputError(what, where=path, fix=f"give --objects some of {', '.join(map(str, held)) or 'none'}")


def _from_the_first_object(given: GivenMasks, path: Path, *, backward: bool, notes: Sequence[str]) -> GivenMasks:
    """Leave out the empty masks before the first object on the way, and all later ones if one is enough."""
    way = sorted(given.files, reverse=backward)
    while not (label_map := given.read(way[0])).ids:
        way = way[1:]
        if not way:
            what = "holds no object: every pixel is background"
            raise InputError(what, where=path, fix="mark at least one object")
    kept = sorted(way[:1] if given.use == "first" else way)
    told = (given.shared.note or label_map.note, *notes)
    return replace(given, files={i: given.files[i] for i in kept}, notes=tuple(note for note in told if note))
