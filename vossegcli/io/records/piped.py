"""Files that are there until the program ends: what comes through a pipe (`-`, `<(command)`), and links."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vossegcli.errors import InputError


def spooled(path: Path) -> Path:
    """Give a file with what comes through a pipe, until the program ends; other paths stay.

    The same content gives a file of the same name and time, so that a run goes on from where another one stopped.

    Args:
        path: `-`, a pipe, or anything else.

    Raises:
        InputError: nothing comes through.
    """
    if str(path) == "-":
        content = sys.stdin.buffer.read()
    elif _is_pipe(path):
        content = path.read_bytes()
    else:
        return path
    if not content:
        raise InputError("is a pipe through which nothing came", where=path, fix="check the command before it")
    folder = _passing_folder()
    file = folder / f"piped-{hashlib.sha256(content).hexdigest()[:16]}"
    file.write_bytes(content)
    os.utime(file, (0, 0))
    return file


def folder_of_links(files: Sequence[Path]) -> Path:
    """Give a folder of links to files, until the program ends.

    Raises:
        InputError: two files have one name.
    """
    folder = _passing_folder()
    for file in files:
        link = folder / file.name
        if link.is_symlink():
            raise InputError(f"and {link.readlink()} have one name", where=file, fix="give the folders of the files")
        link.symlink_to(file.resolve())
    return folder


def _passing_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vosseg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False
