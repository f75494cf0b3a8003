"""Finding sequences: a folder of frames, a video or an image stack, a pattern, or a tree of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.media.contents import (
    Contents,
    contents_of,
    counted_names,
    entries_of,
    siblings_of,
    sorted_contents,
    split_arrays,
    walk,
)
from vossegcli.io.media.frame_numbers import in_order
from vossegcli.io.media.images import read_image_size
from vossegcli.io.media.kinds import kind_of, kind_of_anything
from vossegcli.io.media.layouts import layout_of, layout_sequences
from vossegcli.io.media.patterns import expand, fixed_part, is_pattern
from vossegcli.io.records.file_names import natural_key, real_path
from vossegcli.io.records.run_records import holds_run
from vossegcli.types import Found, FrameSequence

_MASK_FOLDERS = frozenset({"annotations", "annotations_unsupervised", "masks", "mask"})
_WANTED = "image files, a video, an image stack (multi-page TIFF, GIF), or subfolders that hold them"
_APART = "give the ones or the others alone, with a pattern or in a folder of their own"


def find_sequences(path: Path, *, without: Sequence[Path | None] = ()) -> Found[FrameSequence]:
    """Find the sequences below a path, without decoding a frame. The content of files decides, not their suffix.

    * A video or an image stack (multi-page TIFF, GIF, ...) is one sequence, named by its stem.
    * A folder that holds images directly is one sequence, named like the folder, whatever it is called;
      its subfolders are not looked at.
    * A DAVIS, YouTube-VOS or Long-Video root gives the folders of `JPEGImages`, each with its folder of
      `Annotations`, if there is one; such roots are recognised deeper in a tree too.
    * Any other folder is a root: each subfolder at any depth that holds images is a sequence named by its
      POSIX path below the root, and so is each video and stack (where names collide, it keeps its suffix). A folder
      with nothing in it is a sequence without frames, so that a batch can report it, and so is one that holds
      pictures beside videos. Folders named like masks (`masks`, `Annotations`), outputs of runs and hidden
      ones are left out. A folder reached twice through links counts once.
    * A pattern (`*.png`, `frame_%05d.png`) gives the images that it matches as one sequence a folder, and what is
      found in the folders that it matches.

    Args:
        path: a folder, a file or a pattern.
        without: files that are no frames, as a mask that lies beside them.

    Raises:
        InputError: nothing is there, it is a single image or another kind of file, or it holds no frames.
    """
    masks = {real_path(mask) for mask in without if mask is not None and mask.is_file()}
    if is_pattern(path):
        return _of_pattern(path, masks)
    if not path.exists():
        raise InputError("does not exist", where=path, fix="check the path")
    if not path.is_dir():
        return Found((_of_file(path),))
    contents = contents_of(path, masks, arrays=True)
    if contents.mixture is not None:
        raise InputError(contents.mixture, where=path, fix=_APART)
    if contents.images:
        notes = (*_mask_notes(path, masks), *_left_out(contents))
        return Found((FrameSequence(folder_name(path), contents.images, None, "folder", None, notes),))
    found = _walk(path, masks)
    return _sorted(path, found if found[0] else _walk(path, masks, arrays=True))


def list_images(folder: Path) -> tuple[Path, ...]:
    """List the image files and image stacks directly in a folder, in the order of frames, hidden ones left out.

    Raises:
        InputError: the folder cannot be read.
    """
    files = (entry for entry in entries_of(folder) if not entry.is_dir())
    return in_order([file for file in files if kind_of(file) in {"image", "stack"}])


def folder_name(folder: Path) -> str:
    """Give the last part of a folder's path, also for `.`, `..` and `/` (then `root`)."""
    name = folder.name if folder.name not in {"", ".."} else folder.resolve().name
    return name or "root"


def input_name(path: Path) -> str:
    """Name an input for its output folder: a folder's name, a file's stem, the folder of a pattern."""
    if is_pattern(path):
        return folder_name(fixed_part(path))
    return folder_name(path) if path.is_dir() else path.stem


def _of_file(path: Path) -> FrameSequence:
    kind = kind_of_anything(path)
    if kind == "image":
        read_image_size(path)  # which says what is wrong with a damaged one
        raise InputError("is a single image", where=path, fix="give the folder that holds the frames")
    if kind is None:
        raise InputError("is neither a folder nor a video nor an image stack", where=path, fix=f"expected {_WANTED}")
    return FrameSequence(path.stem, (), path, "video", None)


def _of_pattern(pattern: Path, masks: Collection[Path]) -> Found[FrameSequence]:
    root, matches = expand(pattern)
    files = [path for path in matches if not path.is_dir() and real_path(path) not in masks]
    groups: dict[Path, list[Path]] = {}
    for file in files:
        groups.setdefault(file.parent, []).append(file)
    sequences: list[FrameSequence] = []
    for folder, found in groups.items():
        contents = _sorted_by_kind(found)
        if contents.mixture is not None:
            raise InputError(contents.mixture, where=pattern, fix=_APART)
        name = folder_name(folder) if len(groups) == 1 else folder.relative_to(root).as_posix()
        if contents.images:
            notes = (*_mask_notes(folder, masks), *_left_out(contents))
            sequences.append(FrameSequence(name, contents.images, None, "folder", None, notes))
        sequences += [_of_video(root, video) for video in contents.videos]
    for folder in (path for path in matches if path.is_dir() and not files):
        found_here = find_sequences(folder, without=tuple(masks))
        above = folder.relative_to(root).as_posix()
        sequences += [replace(s, name=above if s.layout == "folder" else f"{above}/{s.name}") for s in found_here]
    if not sequences:
        raise InputError("matches nothing that can be segmented", where=pattern, fix=f"expected {_WANTED}")
    return Found(tuple(sorted(_distinct(sequences), key=lambda one: natural_key(one.name))))


def _sorted_by_kind(files: Sequence[Path]) -> Contents:
    kinds = [(file, kind_of(file)) for file in files]
    images = [file for file, kind in kinds if kind == "image"]
    videos = tuple(file for file, kind in kinds if kind in {"video", "stack"})
    others = [file for file, kind in kinds if kind is None]
    if not images and not videos:
        images, others = split_arrays(others)
    return Contents(in_order(images), videos, (), tuple(others))


def _sorted(path: Path, found: tuple[list[FrameSequence], list[Path]]) -> Found[FrameSequence]:
    sequences, others = found
    if not any(sequence.frames or sequence.video or sequence.problem for sequence in sequences):
        raise InputError("holds no frames", where=path, fix=f"expected {_WANTED}")
    notes = (f"left out: {counted_names(others, 'file[|s]')} that cannot be segmented",) if others else ()
    return Found(tuple(sorted(_distinct(sequences), key=lambda one: natural_key(one.name))), notes)


def _walk(root: Path, masks: Collection[Path], *, arrays: bool = False) -> tuple[list[FrameSequence], list[Path]]:
    """Find the sequences of a tree, and the files in it that belong to none."""
    sequences: list[FrameSequence] = []
    others: list[Path] = []
    refused: list[InputError] = []
    for folder, folders, files in walk(root, refused):
        layout = layout_of(folder)
        if layout is not None:
            sequences += layout_sequences(root, folder, *layout)
            folders.clear()
            continue
        contents = sorted_contents(folder, folders, files, masks, arrays=arrays)
        sequences += _direct_sequences(root, folder, contents, masks)
        if not contents.images:
            others += contents.others
        folders[:] = [entry for entry in folders if _is_of_frames(entry)]
    for error in refused:
        name = Path(str(error.where)).relative_to(root).as_posix()
        sequences.append(FrameSequence(name, (), None, "root", None, problem=error.what))
    return sequences, others


def _direct_sequences(root: Path, folder: Path, contents: Contents, masks: Collection[Path]) -> Iterator[FrameSequence]:
    """Give the sequence that a folder is, or those of its videos and stacks."""
    name = folder.relative_to(root).as_posix()
    if contents.mixture is not None:
        yield FrameSequence(name, (), None, "root", None, problem=contents.mixture)
    elif contents.images or (contents.is_empty and folder != root):
        notes = (*_mask_notes(folder, masks), *_left_out(replace(contents, folders=())))
        yield FrameSequence(name, contents.images, None, "root", None, notes)
    else:
        for video in contents.videos:
            yield _of_video(root, video)


def _of_video(root: Path, video: Path) -> FrameSequence:
    name = video.relative_to(root)
    return FrameSequence((name.with_suffix("") if name.suffix else name).as_posix(), (), video, "root", None)


def _is_of_frames(folder: Path) -> bool:
    """Return True if a folder is neither one of masks nor the output of a run."""
    return folder.name.casefold() not in _MASK_FOLDERS and not holds_run(folder)


def _left_out(contents: Contents) -> Iterator[str]:
    """Say what lies beside frames and is not taken."""
    if contents.others:
        yield f"left out: {counted_names(contents.others, 'file[|s]')} that cannot be segmented"
    folders = [folder for folder in contents.folders if _is_of_frames(folder)]
    if folders:
        yield f"left out: {counted_names(folders, 'subfolder[|s]')} beside the frames"


def _mask_notes(folder: Path, masks: Collection[Path]) -> Iterator[str]:
    real = real_path(folder)
    for mask in sorted(masks):
        if mask.parent == real:
            yield f"{mask.name} is given as a mask: it is not taken for a frame"
            others = siblings_of(mask, [path for path in list_images(folder) if real_path(path) not in masks])
            if others:
                yield f"left out: {counted_names(others, 'file[|s]')} called like the mask {mask.name}"


def _distinct(found: Sequence[FrameSequence]) -> list[FrameSequence]:
    """Let videos keep their suffix where another sequence has the same name."""
    counts = Counter(sequence.name for sequence in found)
    return [
        replace(sequence, name=sequence.name + sequence.video.suffix)
        if sequence.video is not None and counts[sequence.name] > 1
        else sequence
        for sequence in found
    ]
