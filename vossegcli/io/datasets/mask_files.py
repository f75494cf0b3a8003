"""The masks of a sequence: which file belongs to which frame, whatever tool the masks are from."""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from vossegcli.errors import InputError
from vossegcli.io.datasets.archives import below_wrappers
from vossegcli.io.datasets.label_map_folders import read_classes
from vossegcli.io.datasets.mask_sources import (
    SINGLE,
    convert_masks,
    convert_object_folders,
    holds_stack,
    needs_conversion,
    rois_error,
    unpacked,
)
from vossegcli.io.masks.label_maps import read_mask_folder
from vossegcli.io.masks.mask_trees import root_of_masks
from vossegcli.io.media.contents import entries_of, files_below, walk
from vossegcli.io.media.frame_matches import match_frames, without_suffix
from vossegcli.io.media.sequences import list_images
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, is_called, subfolder
from vossegcli.io.records.run_records import holds_masks_of_run

_NAMED = 3


@dataclass(frozen=True)
class MaskFiles:
    """The masks of one sequence.

    Attributes:
        files: mask by the index of its frame, ascending.
        single: the only mask, where nothing says which frame it belongs to, else None.
        sources: the files that they were made of, if they were made.
        names: of the objects, by id, where the source names them.
        notes: what was interpreted.
    """

    files: Mapping[int, Path]
    single: Path | None = None
    sources: tuple[Path, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_mask_files(
    path: Path,
    sequence: str,
    frames: Sequence[str],
    work: Path,
    *,
    alone: bool,
    on_top: Collection[int] = (),
    images: Path | None = None,
) -> MaskFiles:
    """Find the masks of a sequence.

    Args:
        path: a mask; a folder of masks named like their frames, or of such folders, also as a data set or the output of
            a command holds it; a folder with a mask an object; or what `convert_masks` reads.
        sequence: its name.
        frames: names of its frames.
        work: folder for masks that have to be made.
        alone: the sequence is the only one of the input.
        on_top: ids of objects that lie above all others, where masks overlap.
        images: a folder that the frames lie below, for annotations that do not say their sizes.

    Raises:
        InputError: no mask belongs to a frame, or they cannot be read.
    """
    folder = unpacked(path, work)
    if folder != path:
        found = _in_archive(folder, path, sequence, frames, work, alone=alone, on_top=on_top, images=images)
        return replace(found, sources=(path,))
    path = path / "masks" if holds_masks_of_run(path) else path
    path = _stack_of(path, sequence, frames, alone=alone) or path
    if needs_conversion(path):
        made = convert_masks(path, work, frames, on_top, images)
        sources = (path,) if path.is_file() else tuple(files_below(path))
        found = _in_folder(_folder_of(made.folder, sequence, frames), frames, path)
        return MaskFiles(found.files, found.single, sources, found.names, (*made.notes, *found.notes))
    if path.is_file():
        return MaskFiles({}, path)
    path = _root_of(path, sequence)
    folder = _own_folder(path, sequence) if not alone or (path / sequence).is_dir() else path
    if folder.is_dir():
        objects = convert_object_folders(folder, frames, work, on_top)
        if objects is not None:
            found = _in_folder(objects.folder, frames, folder)
            return MaskFiles(found.files, None, objects.sources, found.names, objects.notes)
    return _in_folder(folder, frames, folder)


def _root_of(path: Path, sequence: str) -> Path:
    """The folder of the masks of a data set's root, else the folder itself."""
    own = not path.is_dir() or (path / sequence).is_dir() or list_images(path)
    return path if own else root_of_masks(path)


def _own_folder(path: Path, sequence: str) -> Path:
    """The folder of a sequence's masks; frames of `<video>/frames/` have theirs in `<video>/masks/` or `<video>/`."""
    folder = path / sequence
    if not is_called(folder.name, "frames"):
        return folder
    beside = subfolder(folder.parent, "masks")
    if beside.is_dir():
        return beside
    return folder if folder.is_dir() else folder.parent


def _in_archive(
    inside: Path,
    archive: Path,
    sequence: str,
    frames: Sequence[str],
    work: Path,
    *,
    alone: bool,
    on_top: Collection[int],
    images: Path | None,
) -> MaskFiles:
    """The masks of a sequence in an archive that was unpacked: as in a folder, at whatever depth."""
    root = below_wrappers(inside, {*PurePosixPath(sequence).parts, *frames})
    stack = _stack_of(root, sequence, frames, alone=alone, deep=True)
    if stack is not None or needs_conversion(root) or (root / sequence).is_dir():
        return find_mask_files(stack or root, sequence, frames, work, alone=alone, on_top=on_top, images=images)
    suffixes = {file.suffix.lower() for file in files_below(root)}
    if not suffixes & IMAGE_SUFFIXES:
        if ".roi" in suffixes:
            raise rois_error(archive)
        raise InputError("holds neither masks nor annotations", where=archive, fix="pack masks named like their frames")
    objects = convert_object_folders(root, frames, work, on_top)
    if objects is not None:
        found = _in_folder(objects.folder, frames, archive)
        return replace(found, notes=(*objects.notes, *found.notes))
    return _in_folder(_folder_of(root, sequence, frames), frames, archive)


def _stack_of(path: Path, sequence: str, frames: Sequence[str], *, alone: bool, deep: bool = False) -> Path | None:
    """Return the file with all masks of a sequence in a folder that holds one a sequence, or None.

    Args:
        path: the folder, or anything else.
        sequence: its name.
        frames: names of its frames; a file that is called like one of them belongs to it alone.
        alone: the only sequence takes the only file of the folder, whatever its name.
        deep: look into subfolders too.
    """
    if not path.is_dir() or (path / sequence).is_dir():
        return None
    place = (path / sequence).parent
    named = sorted(place.glob(f"{glob.escape((path / sequence).name)}.*")) if place.is_dir() else []
    found = next((file for file in named if needs_conversion(file)), None)
    if found is not None or not (alone or deep):
        return found
    files = list(files_below(path)) if deep else [file for file in entries_of(path) if not file.is_dir()]
    if deep:
        named = [file for file in files if file.relative_to(path).with_suffix("").as_posix().endswith(f"/{sequence}")]
        found = next((file for file in named if holds_stack(file)), None)
    if found is None and alone:
        masks = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES or holds_stack(file)]
        if len(masks) == 1 and masks[0].stem not in frames and holds_stack(masks[0]):
            return masks[0]
    return found


def _folder_of(root: Path, sequence: str, frames: Sequence[str]) -> Path:
    """The folder of converted masks that belongs to a sequence: by its name, else the one whose masks fit frames."""
    folders = [folder for folder, _, _ in walk(root) if list_images(folder)]
    if len(folders) == 1:
        return folders[0]
    own = Path(sequence).parts
    named = [folder for folder in folders if folder.relative_to(root).parts[-len(own) :] == own]
    if len(named) == 1:
        return named[0]
    wanted = set(frames)
    fitting = [
        folder
        for folder in named or folders
        if any(without_suffix(file.stem) in wanted for file in list_images(folder))
    ]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(folder.relative_to(root).as_posix() for folder in folders[:_NAMED])
    raise InputError(
        f"holds masks of {len(folders)} sequences ({listed}, ...), and none is called like this one"
        if not fitting
        else f"holds masks of {len(fitting)} sequences that could be meant ({listed}, ...)",
        where=sequence,
        fix="call the folder of the frames as it is called in the annotations",
    )


def _in_folder(folder: Path, frames: Sequence[str], where: Path) -> MaskFiles:
    """The masks of a folder by the index of their frame, ascending; those of no frame are noted."""
    by_stem = read_mask_folder(folder)
    names = read_classes(folder)
    found, note = match_frames(list(by_stem), frames)
    if not found and len(by_stem) == 1 and (folder / f"{SINGLE}.png").is_file():
        return MaskFiles({}, folder / f"{SINGLE}.png", names=names)
    if not found:
        if len(by_stem) == 1 and where != folder:
            (stem,) = by_stem
            told = f"the only annotated image, {stem}, is called like no frame"
            return MaskFiles({}, by_stem[stem], names=names, notes=(told,))
        raise InputError(
            f"no mask is named like a frame (masks: {_some(list(by_stem))}; frames: {_some(frames)})",
            where=where,
            fix="name each mask like its frame",
        )
    strangers = [path.name for stem, path in by_stem.items() if stem not in found]
    notes = [note] if note else []
    notes += [f"masks named like no frame: {len(strangers)} ({_some(strangers)})"] if strangers else []
    files = {index: by_stem[stem] for stem, index in found.items()}
    return MaskFiles(dict(sorted(files.items())), names=names, notes=tuple(notes))


def _some(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
