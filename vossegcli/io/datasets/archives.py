"""Zip archives of masks, annotations or images, as the folders that they pack."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from vossegcli.errors import InputError
from vossegcli.io.masks.arrays import is_array_file

_MOST_BYTES = 16 << 30


def is_archive(path: Path) -> bool:
    """Return True if a file is a zip archive of files; an archive of arrays as NumPy saves them is none."""
    return path.is_file() and zipfile.is_zipfile(path) and not is_array_file(path)


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip archive; hidden files and the clutter of operating systems are left out.

    Raises:
        InputError: it is damaged, encrypted, too large, or holds a path that leads out of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise InputError(
                    "unpacks to more than 16 GiB", where=path, fix="unpack it yourself, and give the folder"
                )
            for member in members:
                parts = PurePosixPath(member.filename.replace("\\", "/")).parts
                if any(part.startswith(".") and part not in {".", ".."} or part == "__MACOSX" for part in parts):
                    continue
                if ".." in parts or PurePosixPath(member.filename).is_absolute():
                    raise InputError(f"holds the path '{member.filename}'", where=path, fix="pack it again")
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                changed = time.mktime((*member.date_time, 0, 0, -1))
                os.utime(target, (changed, changed))
    except (
        zipfile.BadZipFile,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        zlib.error,
    ) as error:
        raise InputError(f"cannot be unpacked ({error})", where=path, fix="pack it again") from error


def opened_archive(path: Path) -> Path:
    """Give the folder that a zip archive packs, until the program ends; other paths stay.

    The times of the files are those in the archive, so that a run goes on from where another one stopped.

    Raises:
        InputError: the archive cannot be unpacked.
    """
    if not is_archive(path):
        return path
    folder = Path(tempfile.mkdtemp(prefix="vosseg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    inside = folder / (path.stem or "archive")
    unpack(path, inside)
    return below_wrappers(inside)


def below_wrappers(folder: Path, known: Collection[str] = ()) -> Path:
    """Go down while a folder holds nothing but one folder, as archives and exports wrap what they hold.

    Args:
        folder: to begin with.
        known: names that mean something, as of sequences; a folder that holds one of this name is not left.
    """
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].name in known:
            return folder
        folder = entries[0]
