"""Direct contents of a folder: images, stacks, videos, folders, and other files."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.media.array_frames import is_array_frame
from vossegcli.io.media.frame_numbers import in_order
from vossegcli.io.media.kinds import kind_of
from vossegcli.io.records.file_names import natural_key, real_path
from vossegcli.wording import counted

_CLUTTER = frozenset({"__macosx", "lost+found", "@eadir", "thumbs.db", "desktop.ini"})
_SHOWN = 3


@dataclass(frozen=True)
class Contents:
    """The entries of a folder.

    Attributes:
        images: image files, in the order of frames.
        videos: videos and image stacks, in natural order.
        folders: in natural order.
        others: files that are no media, in natural order.
    """

    images: tuple[Path, ...]
    videos: tuple[Path, ...]
    folders: tuple[Path, ...]
    others: tuple[Path, ...]

    @property
    def is_empty(self) -> bool:
        """True if there is nothing at all."""
        return not (self.images or self.videos or self.folders or self.others)

    @property
    def mixture(self) -> str | None:
        """Return what is wrong with a folder that holds pictures beside videos, or None."""
        if not self.images or not self.videos:
            return None
        videos, images = (
            counted_names(self.videos, "video[|s] or image stack[|s]"),
            counted_names(self.images, "picture[|s]"),
        )
        return f"holds {videos} beside {images}: which of them are meant is not known"


def contents_of(folder: Path, without: Collection[Path] = (), *, arrays: bool = False) -> Contents:
    """List a folder, without hidden files and the clutter of operating systems.

    Args:
        folder: to look at; its subfolders are listed, not entered.
        without: as in `sorted_contents`.
        arrays: likewise.

    Raises:
        InputError: the folder cannot be listed.
    """
    return sorted_contents(folder, *_listing_of(folder), without, arrays=arrays)


def sorted_contents(
    folder: Path, folders: Sequence[Path], files: Sequence[Path], without: Collection[Path] = (), *,
    arrays: bool = False,
) -> Contents:  # fmt: skip
    """Sort what a folder holds.

    Args:
        folder: where it lies.
        folders: in it.
        files: likewise.
        without: resolved paths of files to leave out, as that of a mask; where one is called like an image and more,
            as `a_mask.png` beside `a.jpg`, the others of this kind are left out too.
        arrays: `.npy` files of a frame each are images where there are neither other pictures nor folders.
    """
    images: list[Path] = []
    videos: list[Path] = []
    others: list[Path] = []
    for file in files:
        if without and real_path(file) in without:
            continue
        kind = kind_of(file)
        (others if kind is None else images if kind == "image" else videos).append(file)
    if without:
        images = _without_siblings(folder, images, without)
    if arrays and not (images or videos or folders):
        images, others = split_arrays(others)
    return Contents(in_order(images), tuple(videos), tuple(folders), tuple(others))


def split_arrays(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Split files into arrays of one frame each, and others."""
    listed = list(files)
    arrays = [file for file in listed if is_array_frame(file)]
    return arrays, [file for file in listed if file not in set(arrays)]


def siblings_of(mask: Path, images: Collection[Path]) -> list[Path]:
    """Find the images that are called as a mask among them is: those of another image, and the same ending.

    Args:
        mask: `a_mask.png`.
        images: of the same folder, without the mask.
    """
    stems = {path.stem for path in images}
    ends = [mask.stem[len(stem) :] for stem in stems if mask.stem.startswith(stem) and mask.stem != stem]
    end = min(ends, key=len, default="")
    if not end or end[0].isalnum():
        return []
    return [path for path in images if path.stem.endswith(end) and path.stem[: -len(end)] in stems]


def _without_siblings(folder: Path, images: list[Path], without: Collection[Path]) -> list[Path]:
    real = real_path(folder)
    masks = [mask for mask in without if mask.parent == real]
    left_out = {path for mask in masks for path in siblings_of(mask, images)}
    return [path for path in images if path not in left_out]


def entries_of(folder: Path) -> list[Path]:
    """List a folder in natural order, without hidden files and the clutter of operating systems.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot be listed ({error.strerror})", where=folder, fix="check it") from error
    visible = (entry for entry in entries if not is_clutter(entry.name))
    return sorted(visible, key=lambda entry: natural_key(entry.name))


def walk(root: Path, refused: list[InputError] | None = None) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Yield the folders of a tree, the root first.

    Linked folders too, each once, and after the real ones, so that a link does not take the place of what it leads to.
    Hidden names and the clutter of operating systems are left out.

    Args:
        root: a folder; of anything else, nothing is yielded.
        refused: takes the errors of folders that cannot be listed; None = they are raised.

    Yields:
        a folder, its subfolders, of which the caller may remove some, and its files; both in natural order.

    Raises:
        InputError: a folder cannot be listed.
    """
    visited: set[Path] = set()
    waiting, links = [root] if root.is_dir() else [], deque[Path]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.popleft()
        real = real_path(folder)
        if real in visited:
            continue
        visited.add(real)
        try:
            folders, files = _listing_of(folder)
        except InputError as error:
            if refused is None or folder == root:
                raise
            refused.append(error)
            continue
        yield folder, folders, files
        waiting += [entry for entry in reversed(folders) if not entry.is_symlink()]
        links += [entry for entry in folders if entry.is_symlink()]


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files of a tree (see `walk`), those of a folder in natural order."""
    for _, _, files in walk(root):
        yield from files


def _listing_of(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the folders and the files in a folder; see `entries_of`."""
    folders: list[Path] = []
    files: list[Path] = []
    for entry in entries_of(folder):
        (folders if entry.is_dir() else files).append(entry)
    return folders, files


def is_clutter(name: str) -> bool:
    """Return True for a hidden name, or one that operating systems leave everywhere."""
    return name.startswith(".") or name.casefold() in _CLUTTER


def counted_names(paths: Iterable[Path], text: str) -> str:
    """Count and name paths: `2 videos (a.mp4, b.mp4)`."""
    names = [path.name for path in paths]
    listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{counted(len(names), text)} ({listed})"
