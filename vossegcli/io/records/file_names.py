"""Names of files: which are images and videos, their natural order, and names that clash."""

from __future__ import annotations

import re
from pathlib import Path

from vossegcli.errors import InputError

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2",
    ".ppm", ".pgm", ".pnm", ".tga",
})  # fmt: skip
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mts", ".m2ts", ".wmv", ".asf", ".mpg", ".mpeg", ".flv", ".3gp",
    ".3g2", ".ogv", ".y4m", ".mxf", ".vob",
})  # fmt: skip


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Give a sort key that puts `2.jpg` before `10.jpg`, and `b` before `C`.

    Args:
        name: a file name or a POSIX path.
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    key = tuple((0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts)
    return key, name


def folder_of_label(label: str) -> str:
    """A folder's name for a class; the class's own may hold anything, the folder's may not."""
    return re.sub(r"[/\\\0]", "_", label).lstrip(".") or "_"


def check_unique_stems(files: tuple[Path, ...]) -> None:
    """Refuse two files that would share a name in the output.

    Raises:
        InputError: two files have the same stem, as `a.jpg` and `a.png` do.
    """
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f"has the same name as {other.name} but for the suffix",
                where=path,
                fix="rename or move one of the two: outputs are named after the stem",
            )
