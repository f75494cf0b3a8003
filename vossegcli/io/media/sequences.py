"""Which sequences a path holds: a folder of frames, a video file, or a tree of either."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key
from vossegcli.io.records.run_records import holds_run
from vossegcli.types import FrameSequence

_DAVIS_RESOLUTIONS = ("480p", "Full-Resolution")
_MASK_FOLDERS = frozenset({"annotations", "annotations_unsupervised", "masks", "mask"})
_CLUTTER = frozenset({"__macosx", "@eadir"})
_WANTED = (
    "image files (.jpg .jpeg .png .bmp .webp .tif), a video file (.mp4 .mov .mkv .avi .webm), "
    "or subfolders that hold them"
)


def find_sequences(path: Path) -> list[FrameSequence]:
    """Find the sequences below a path, without opening a frame.

    * A video file is one sequence, named by its stem.
    * A folder that holds images directly is one sequence, named like the folder, whatever it is called;
      its subfolders are not looked at.
    * A DAVIS, YouTube-VOS or Long-Video root gives the folders of `JPEGImages`, each with its folder of
      `Annotations`, if there is one; such roots are recognised deeper in a tree too.
    * Any other folder is a root: each subfolder at any depth that holds images is a sequence named by its
      POSIX path below the root, and so is each video file in folders without images (where names collide,
      the video keeps its suffix). A folder with nothing in it is a sequence without frames, so that a batch
      can report it. Folders named like masks (`masks`, `Annotations`), outputs of runs, and hidden folders are
      left out. A folder reached twice through links counts once.

    Args:
        path: a folder or a video file.

    Returns:
        sequences in natural order of their names.

    Raises:
        InputError: nothing is there, it is a single image or another kind of file, or it holds no frames.
    """
    if not path.exists():
        raise InputError("does not exist", where=path, fix="check the path")
    if not path.is_dir():
        return [_video_sequence(path)]
    images = list_images(path)
    if images:
        return [FrameSequence(folder_name(path), images, None, "folder", None)]
    sequences = _distinct(_walk(path))
    if not any(sequence.frames or sequence.video for sequence in sequences):
        raise InputError("holds no frames", where=path, fix=f"expected {_WANTED}")
    return sorted(sequences, key=lambda sequence: natural_key(sequence.name))


def list_images(folder: Path) -> tuple[Path, ...]:
    """List the image files directly in a folder, in natural order, hidden ones left out.

    Raises:
        InputError: the folder cannot be read.
    """
    return tuple(entry for entry in _entries(folder) if _is_file(entry, IMAGE_SUFFIXES))


def folder_name(folder: Path) -> str:
    """Give the last part of a folder's path, also for `.`, `..` and `/` (then `root`)."""
    name = folder.name if folder.name not in {"", ".."} else folder.resolve().name
    return name or "root"


def _video_sequence(path: Path) -> FrameSequence:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return FrameSequence(path.stem, (), path, "video", None)
    if suffix in IMAGE_SUFFIXES:
        raise InputError("is a single image", where=path, fix="give the folder that holds the frames")
    raise InputError("is neither a folder nor a video file", where=path, fix=f"expected {_WANTED}")


def _walk(root: Path) -> Iterator[FrameSequence]:
    """Go through a tree, real folders before links, so that a link does not take their place."""
    visited: set[Path] = set()
    folders, links = deque([root]), deque[Path]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        real = folder.resolve()
        if real in visited:
            continue
        visited.add(real)
        layout = _layout_of(folder)
        if layout is not None:
            yield from _layout_sequences(root, folder, *layout)
            continue
        entries = _entries(folder)
        yield from _direct_sequences(root, folder, entries)
        for entry in entries:
            if entry.is_dir() and entry.name.casefold() not in _MASK_FOLDERS and not holds_run(entry):
                (links if entry.is_symlink() else folders).append(entry)


def _direct_sequences(root: Path, folder: Path, entries: list[Path]) -> Iterator[FrameSequence]:
    """Give the sequence that a folder is, or those of its video files."""
    name = folder.relative_to(root).as_posix()
    images = tuple(entry for entry in entries if _is_file(entry, IMAGE_SUFFIXES))
    if images or (not entries and folder != root):
        yield FrameSequence(name, images, None, "root", None)
        return
    for entry in entries:
        if _is_file(entry, VIDEO_SUFFIXES):
            yield FrameSequence(entry.relative_to(root).with_suffix("").as_posix(), (), entry, "root", None)


def _layout_of(folder: Path) -> tuple[str, str] | None:
    """Recognise a data set: its layout and the folder between `JPEGImages` and the sequences, or None."""
    frames = folder / "JPEGImages"
    if not frames.is_dir() or list_images(frames):
        return None
    for resolution in _DAVIS_RESOLUTIONS:
        if (frames / resolution).is_dir() and not list_images(frames / resolution):
            return "davis", resolution
    if not any(entry.is_dir() for entry in _entries(frames)):
        return None
    if not (folder / "meta.json").is_file() and (folder / "val.txt").is_file():
        return "long-video", "."
    return "youtube-vos", "."


def _layout_sequences(root: Path, folder: Path, layout: str, resolution: str) -> Iterator[FrameSequence]:
    for entry in _entries(folder / "JPEGImages" / resolution):
        if not entry.is_dir():
            continue
        masks = folder / "Annotations" / resolution / entry.name
        name = (folder.relative_to(root) / entry.name).as_posix()
        yield FrameSequence(name, list_images(entry), None, layout, masks if masks.is_dir() else None)


def _distinct(sequences: Iterator[FrameSequence]) -> list[FrameSequence]:
    """Let videos keep their suffix where another sequence has the same name."""
    found = list(sequences)
    counts = Counter(sequence.name for sequence in found)
    return [
        replace(sequence, name=sequence.name + sequence.video.suffix)
        if sequence.video is not None and counts[sequence.name] > 1
        else sequence
        for sequence in found
    ]


def _entries(folder: Path) -> list[Path]:
    """List a folder in natural order, without hidden files and the clutter of operating systems."""
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot be listed ({error.strerror})", where=folder, fix="check it") from error
    visible = (entry for entry in entries if not _is_clutter(entry.name))
    return sorted(visible, key=lambda entry: natural_key(entry.name))


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _CLUTTER or name.casefold() == "thumbs.db"


def _is_file(entry: Path, suffixes: frozenset[str]) -> bool:
    return entry.suffix.lower() in suffixes and not entry.is_dir()
