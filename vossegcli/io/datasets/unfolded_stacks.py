"""Label stacks unfolded: a folder of label maps for each, so that what compares masks finds files.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vossegcli.io.datasets.label_map_folders import WrittenMasks
from vossegcli.io.datasets.mask_sources import made_once
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.masks.label_stacks import count_masks, read_label_stack
from vossegcli.io.masks.mask_trees import root_of_masks
from vossegcli.io.media.contents import files_below, walk
from vossegcli.io.media.sequences import list_images
from vossegcli.io.media.stacks import is_stack
from vossegcli.io.records.file_names import check_unique_stems, natural_key

_SUFFIXES = frozenset({".tif", ".tiff", ".gif", ".webp"})
_SAVED = "stack"  # the folder of `--save stack`


def find_stacks(path: Path) -> dict[str, Path]:
    """Find the image stacks of a tree of masks.

    Returns:
        path below the tree without suffix (POSIX), or the stem of a file, -> stack, in natural order.

    Raises:
        InputError: two have one name.
    """
    if path.is_file():
        return {path.stem: path} if path.suffix.lower() in _SUFFIXES and is_stack(path) else {}
    root = _root(path)
    stacks = [file for file in files_below(root) if file.suffix.lower() in _SUFFIXES and is_stack(file)]
    named = {file.relative_to(root).with_suffix("").as_posix(): file for file in stacks}
    if len(named) < len(stacks):
        check_unique_stems(tuple(stacks))
    return dict(sorted(named.items(), key=lambda row: natural_key(row[0])))


def unfold_stacks(path: Path, stacks: Mapping[str, Path], other: Path, work: Path) -> WrittenMasks:
    """Write the pages of stacks as label maps, `<stack>/<frame>.png`.

    Frames are named like the masks of the other side where it has a folder of the stack's name, else by their number.

    Args:
        path: the file, or the tree that holds the stacks; its other images are linked.
        stacks: from `find_stacks`.
        other: what the masks will be compared with.
        work: folder to write to; what is there already, of the same files, is used.

    Returns:
        the tree, or the folder of the only stack where a file was given.

    Raises:
        InputError: a stack cannot be read, or holds values that are no ids.
    """
    frames = {name: _frames_of(file, name, other) for name, file in stacks.items()}
    others = _others(path, set(stacks.values()))
    settings = [*(" ".join((name, *names)) for name, names in frames.items()), *map(str, others.values())]

    def make(folder: Path) -> Sequence[str]:
        notes: dict[str, None] = {}
        for name, file in stacks.items():
            stack = read_label_stack(file, frames[name])
            place = folder if path.is_file() else folder / name
            for frame, ids in stack.maps:
                write_label_map(place / f"{frame}.png", ids)
            notes |= dict.fromkeys(stack.notes)
        for name, file in others.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
        return list(notes)

    return made_once(work / (path.stem or "masks"), list(stacks.values()), settings, make)


def _frames_of(file: Path, name: str, other: Path) -> tuple[str, ...]:
    """Names of the masks of the other side that a stack's pages belong to; none where they are not known."""
    root = _root(other) if other.is_dir() else other
    folder = next((place for place in (root / name, root) if place.is_dir() and list_images(place)), None)
    listed = [] if folder is None else list_images(folder)
    if not listed or any(one.suffix.lower() in _SUFFIXES and is_stack(one) for one in listed):
        return ()
    return () if count_masks(file) > len(listed) else tuple(one.stem for one in listed)


def _root(path: Path) -> Path:
    root = root_of_masks(path)
    return path / _SAVED if root == path and (path / _SAVED).is_dir() else root


def _others(path: Path, stacks: set[Path]) -> dict[str, Path]:
    """Find the images of a tree that are no stacks, by their path in it."""
    if path.is_file():
        return {}
    root = _root(path)
    images = (file for folder, _, _ in walk(root) for file in list_images(folder) if file not in stacks)
    return {file.relative_to(root).as_posix(): file.resolve() for file in images}
