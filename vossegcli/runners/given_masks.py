"""Which masks of a sequence are given, on which frames, and in which order the frames are visited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.label_maps import read_label_map, read_mask_folder
from vossegcli.types import FrameSequence, LabelMap

DIRECTIONS = ("forward", "backward", "both")
USES = ("first", "new", "all")
FIRST_ONLY_LAYOUTS = frozenset({"davis", "long-video"})


@dataclass(frozen=True)
class GivenMasks:
    """The masks that are taken for one sequence.

    Attributes:
        files: mask file by frame index, ascending.
        use: `first`, `new` or `all`.
        size: (H,W) of the frames.
        fix: repair anti-aliased or misshapen masks.
        unmatched: mask files that no frame is named like.
    """

    files: Mapping[int, Path]
    use: str
    size: tuple[int, int]
    fix: bool
    unmatched: tuple[Path, ...] = ()

    def read(self, index: int) -> LabelMap:
        """Read the mask of a frame.

        Raises:
            InputError: it cannot be used.
        """
        later_may_be_empty = index != next(iter(self.files))
        return read_label_map(self.files[index], size=self.size, fix=self.fix, allow_empty=later_may_be_empty)


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


def find_given_masks(
    sequence: FrameSequence,
    names: Sequence[str],
    size: tuple[int, int],
    mask: Path | None,
    *,
    at: str | None,
    use: str | None,
    alone: bool,
    fix: bool,
) -> GivenMasks:
    """Resolve `--mask`, `--at` and `--use-masks` for one sequence.

    Args:
        sequence: the sequence.
        names: of its frames.
        size: (H,W) of its frames.
        mask: what the user gave: a file, a folder of masks, a folder of such folders, or nothing.
        at: name or index of the frame that a mask file belongs to; None = the first.
        use: `first`, `new`, `all`, or None for the layout's default.
        alone: the sequence is the only one of the input.
        fix: repair masks while reading.

    Raises:
        InputError: no mask, or none that belongs to a frame.
    """
    folder = sequence.masks if mask is None else mask
    if folder is None:
        raise InputError("no mask is given", where=sequence.name, fix="give one with --mask")
    if not folder.exists():
        raise InputError("does not exist", where=folder, fix="give a mask file or a folder of masks with --mask")
    use = use or ("first" if sequence.layout in FIRST_ONLY_LAYOUTS else "new")
    if folder.is_file():
        if not alone:
            raise InputError(
                "is one mask for several sequences", where=folder, fix="give a folder with one folder of masks a sequence"
            )
        return GivenMasks({frame_index(names, at, sequence.name): folder}, use, size, fix)
    if mask is not None and (not alone or (folder / sequence.name).is_dir()):
        folder = folder / sequence.name
    index_of = {name: index for index, name in enumerate(names)}
    by_stem = read_mask_folder(folder)
    found = {index_of[stem]: path for stem, path in by_stem.items() if stem in index_of}
    if not found:
        raise InputError(
            f"no mask is named like a frame (masks: {_some(by_stem)}; frames: {_some(names)})",
            where=folder,
            fix="name each mask like its frame",
        )
    unmatched = tuple(path for stem, path in by_stem.items() if stem not in index_of)
    return GivenMasks(dict(sorted(found.items())), use, size, fix, unmatched)


def frame_index(names: Sequence[str], at: str | None, where: str) -> int:
    """Find a frame by name, else by index.

    Raises:
        InputError: no such frame.
    """
    if at is None:
        return 0
    if at in names:
        return list(names).index(at)
    if at.isdecimal() and int(at) < len(names):
        return int(at)
    raise InputError(f"has no frame '{at}' (frames: {_some(names)})", where=where, fix="give a name or an index")


def plan_passes(given: GivenMasks, frames: int, direction: str) -> tuple[list[Pass], range]:
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
        return [Pass(last, -1, reverse=True)], range(last + 1, frames)
    forward = Pass(first, frames)
    if direction == "forward":
        return [forward], range(first)
    appears = {i: first for i in given.read(first).ids} if given.use == "first" else first_frames(given)
    return [forward, Pass(max(appears.values()), -1, reverse=True, only=appears)], range(0)


def first_frames(given: GivenMasks) -> dict[int, int]:
    """The first frame on which each object is annotated."""
    appears: dict[int, int] = {}
    for index in given.files:
        for object_id in given.read(index).ids:
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
    if index == start or index not in given.files or given.use == "first":
        return None
    label_map = given.read(index)
    if given.use == "all":
        return label_map.ids_map if label_map.ids else None
    fresh = [i for i in label_map.ids if i not in known]
    return np.where(np.isin(label_map.ids_map, fresh), label_map.ids_map, 0) if fresh else None


def _some(names: Sequence[str] | Mapping[str, Path]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
