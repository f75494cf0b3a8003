"""Files and folders that appear whole or not at all: a private temporary name beside their own, then a rename."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from vossegcli.errors import InputError

_TEMPORARY = re.compile(r"^\.vosseg-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}(\.[^.]+)?$")
_ABANDONED_AFTER_SECONDS = 24 * 3600.0
_SYNCED_AT_A_TIME = 16
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})  # of a file system that lacks it


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends well.

    Missing parent folders are made. On any exception, `KeyboardInterrupt` included, the temporary file is
    removed and an existing `path` stays as it was.

    Args:
        path: the file to write.

    Yields:
        an empty file in the same folder, with the same suffix and a name that begins with a dot.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    temporary = path.parent / _temporary_name(path.suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.open("xb").close()
    except OSError as error:
        raise _write_error(path, error) from error
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        own = error.filename is None or str(error.filename).endswith(temporary.name)
        if error.errno is not None and own:  # not of a file that is read meanwhile
            raise _write_error(path, error) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # a vanished temporary must not hide the first error
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` when the block ends well; a `path` that is there by then stays.

    Its files are on the disk before it gets its name.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = path.parent / _temporary_name("")
    make_folder(temporary)
    try:
        yield temporary
        sync_files(file for file in temporary.rglob("*") if file.is_file())
        try:
            temporary.rename(path)
        except OSError as error:
            if not path.is_dir():  # not that of another run, which was faster
                raise _write_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder for results, with its parents.

    Raises:
        InputError: it is a file, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(path, error) from error


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with its line ends kept, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    write_bytes_atomic(path, text.encode("utf-8"))


def write_lines_atomic(path: Path, lines: Iterable[str]) -> None:
    """Write texts one after the other to `path` as UTF-8, whole or not at all; they need not fit in memory.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def sync_files(paths: Iterable[Path]) -> None:
    """Wait until files are on the disk, so that a power cut cannot empty them.

    Many are waited for at a time, as a disk that does one after the other takes 20 times as long.

    Raises:
        InputError: a file cannot be written.
    """
    with ThreadPoolExecutor(_SYNCED_AT_A_TIME) as pool:
        for _ in pool.map(_sync, paths):
            pass


def _sync(path: Path) -> None:
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise _write_error(path, error) from error


def clean_temporaries(folder: Path) -> int:
    """Remove the temporary files and folders that killed runs left directly in `folder`.

    One is left over when its name is one that this module gives and its process is gone. Those of living
    processes stay, since several workers may write to one folder; so do those of other machines, until they
    are a day old.

    Args:
        folder: the folder to clean; it may be absent.

    Returns:
        how many were removed.
    """
    if not folder.is_dir():
        return 0
    removed = 0
    for path in folder.iterdir():
        match = _TEMPORARY.match(path.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):  # another worker may clean the same folder
            if _is_left_over(path, match["host"], int(match["pid"])):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
    return removed


def clean_tree(folder: Path) -> int:
    """Clean all folders of a tree; returns how many temporaries were removed."""
    return sum(clean_temporaries(Path(path)) for path, _, _ in os.walk(folder))


def _temporary_name(suffix: str) -> str:
    # The target's own stem is left out: a long name plus a tag could exceed the file system's limit.
    return f".vosseg-{_host_tag()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def _host_tag() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_left_over(path: Path, host: str, pid: int) -> bool:
    if host == _host_tag() and not _is_running(pid):
        return True
    return time.time() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _write_error(path: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(
        f"cannot be written ({reason})",
        where=path,
        fix="choose another output folder, or free space and set its permissions",
    )
