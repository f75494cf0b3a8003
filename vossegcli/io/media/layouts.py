"""Roots in the layout of DAVIS, YouTube-VOS and Long-Video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vossegcli.io.media.contents import contents_of, entries_of
from vossegcli.io.records.file_names import subfolder
from vossegcli.types import FrameSequence

_DAVIS_RESOLUTIONS = ("480p", "Full-Resolution")


def layout_of(folder: Path) -> tuple[str, str] | None:
    """Recognise a data set: its layout and the folder between `JPEGImages` and the sequences, or None.

    Raises:
        InputError: a folder cannot be listed.
    """
    frames = subfolder(folder, "JPEGImages")
    if not frames.is_dir() or contents_of(frames).images:
        return None
    for resolution in _DAVIS_RESOLUTIONS:
        below = subfolder(frames, resolution)
        if below.is_dir() and not contents_of(below).images:
            return "davis", below.name
    if not any(entry.is_dir() for entry in entries_of(frames)):
        return None
    if not (folder / "meta.json").is_file() and (folder / "val.txt").is_file():
        return "long-video", "."
    return "youtube-vos", "."


def layout_sequences(root: Path, folder: Path, layout: str, resolution: str) -> Iterator[FrameSequence]:
    """Give the sequences of a data set, each with its folder of masks, if there is one.

    Raises:
        InputError: a folder cannot be listed.
    """
    for entry in entries_of(subfolder(folder, "JPEGImages") / resolution):
        if not entry.is_dir():
            continue
        masks = subfolder(folder, "Annotations", resolution) / entry.name
        name = (folder.relative_to(root) / entry.name).as_posix()
        yield FrameSequence(name, contents_of(entry).images, None, layout, masks if masks.is_dir() else None)
