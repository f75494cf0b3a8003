"""Locks on an output folder, so that two runs do not work in it at the same time.

The system takes a lock away when its process ends, however it ends. Windows and some file systems of networks have no
such locks, and nothing is checked there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.records.run_records import STATE_FOLDER
from vossegcli.types import Shard

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})  # of a file system that lacks them


@contextmanager
def output_lock(output: Path, shard: Shard | None) -> Iterator[None]:
    """Keep other runs out of an output folder; runs of other shards may work in it too.

    Raises:
        InputError: another run is at work there, or the folder cannot be written.
    """
    folder = output / STATE_FOLDER
    with ExitStack() as stack:
        if shard is None:
            stack.enter_context(_locked(folder / "lock", output))
        else:
            stack.enter_context(_locked(folder / "lock", output, shared=True))
            stack.enter_context(_locked(folder / f"lock-{shard.index}-of-{shard.count}", output))
        yield


@contextmanager
def tables_lock(output: Path) -> Iterator[None]:
    """Let one run after the other write the tables that all shards share.

    Raises:
        InputError: the folder cannot be written.
    """
    with _locked(output / STATE_FOLDER / "tables.lock", output, wait=True):
        yield


@contextmanager
def _locked(path: Path, output: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+", buffering=0)  # nothing is left to be written when it is closed
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise InputError(reason, where=output, fix="choose another output folder, or set its permissions") from error
    with file:
        if fcntl is not None:
            mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(file, mode if wait else mode | fcntl.LOCK_NB)
            except BlockingIOError as error:
                fix = "wait until it has ended, or give another folder with --output"
                raise InputError(f"is in use by another run{_owner(file)}", where=output, fix=fix) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            _sign(file, "" if shared else f"process {os.getpid()} on {socket.gethostname()}")
        yield


def _sign(file: FileIO, text: str) -> None:
    """Say in the file whose lock it is, for the message that others get; a full disk is no reason to stop here."""
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(text.encode())


def _owner(file: FileIO) -> str:
    """Say who holds a lock; runs of shards, which share it, have not signed it."""
    file.seek(0)
    text = file.read(200).decode(errors="replace")
    return f" ({text})" if text else ", of a shard"
