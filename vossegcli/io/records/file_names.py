"""Names of files: which are images and videos, their natural order, names that clash, and folders of classes."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from vossegcli.errors import InputError

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2",
    ".ppm", ".pgm", ".pnm", ".tga",
})  # fmt: skip
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mts", ".m2ts", ".wmv", ".asf", ".mpg", ".mpeg", ".flv", ".3gp",
    ".3g2", ".ogv", ".y4m", ".mxf", ".vob",
})  # fmt: skip
#: Not allowed in names by some file system, or with a meaning there; `%2F` as such; dots and blanks at the ends.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]|%(?=[0-9A-Fa-f]{2})|^%$|^\.|[. ]+$')
_NAMELESS = "%"  # folder of the class whose name is empty; no other class is written so
_UNSAFE_IN_DOUBT = re.compile(rf"{_UNSAFE.pattern}|[^\x20-\x40\x5b-\x7e]|%")


def subfolder(folder: Path, *names: str) -> Path:
    """Return a folder below another by the names on the way, whatever their cases: `Masks` for `masks`.

    Where there are several, the one as it is written counts; where there is none, the path may lead nowhere.
    """
    for name in names:
        exact = folder / name
        if exact.is_dir() or not folder.is_dir():
            folder = exact
            continue
        with os.scandir(folder) as entries:
            alike = sorted(entry.name for entry in entries if is_called(entry.name, name) and entry.is_dir())
        folder = folder / alike[0] if alike else exact
    return folder


def is_called(name: str, *known: str) -> bool:
    """Say whether a name is one of those that are known, whatever its cases."""
    return name.casefold() in {one.casefold() for one in known}


def real_path(path: Path) -> Path:
    """Follow all links of a path; a link that leads to itself stays."""
    return Path(os.path.realpath(path))  # `Path.resolve` raises RuntimeError there


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Give a sort key that puts `2.jpg` before `10.jpg`, and `b` before `C`.

    Args:
        name: a file name or a POSIX path.
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    key = tuple((0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts)
    return key, name


def folders_of_labels(labels: Iterable[str]) -> dict[str, str]:
    """Name a folder for each class: its own name, with characters that a name may not hold as `%2F`.

    Names that a file system may take for one, as `cat` and `Cat`, differ: their capitals and letters beyond ASCII are
    written in the same way. `label_of_folder` gives the name of the class again.
    """
    plain = {label: _UNSAFE.sub(_escaped, label) or _NAMELESS for label in labels}
    taken = Counter(map(_folded, plain.values()))
    return {
        label: folder if taken[_folded(folder)] == 1 else _UNSAFE_IN_DOUBT.sub(_escaped, label)
        for label, folder in plain.items()
    }


def label_of_folder(folder: str) -> str:
    """Read the name of a class from that of its folder."""
    return "" if folder == _NAMELESS else unquote(folder, errors="surrogateescape")


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))


def _folded(folder: str) -> str:
    """Fold what a file system may not tell apart: cases, and accents that are written apart."""
    return unicodedata.normalize("NFKC", folder).casefold()


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
