"""Files that come through a pipe: `-` for the standard input, and what `<(command)` of a shell gives."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import sys
import tempfile
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
    folder = Path(tempfile.mkdtemp(prefix="vosseg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / f"piped-{hashlib.sha256(content).hexdigest()[:16]}"
    file.write_bytes(content)
    os.utime(file, (0, 0))
    return file


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False
