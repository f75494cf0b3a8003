"""Typed errors: each says what is wrong, where, and how to fix it.

Only the command line turns a type into an exit code (`cli/exit_codes.py`).
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

#: How errors that are no MemoryError say that they got no memory: of PyTorch, the loader of libraries, and threads.
_NO_MEMORY = ("can't allocate memory", "failed to map segment", "can't start new thread")


class VossegError(Exception):
    """Base of every error that is the caller's to fix.

    Args:
        what: what is wrong, a clause without a full stop.
        where: the path, frame or key that it concerns.
        fix: what to do about it.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        text = what if self.where is None else f"{self.where}: {what}"
        super().__init__(text if fix is None else f"{text}. {fix[0].upper()}{fix[1:]}")

    def __reduce__(self) -> tuple[Callable[..., VossegError], tuple[object, ...]]:
        """Keep all parts on the way from one process to another."""
        return _rebuilt, (type(self), self.what, self.where, self.fix)


class InputError(VossegError):
    """A path, an image, a mask or an annotation that cannot be used (exit code 3)."""


class CheckpointError(VossegError):
    """A checkpoint that is unknown, damaged, of another system or unsafe to load (exit code 4)."""


class ConfigError(VossegError):
    """A setting that is out of range or contradicts another (exit code 5)."""


class DeviceError(VossegError):
    """A device that is absent or out of memory (exit code 6)."""


class OutOfMemoryError(DeviceError):
    """Too little memory, of the device or of the machine; a smaller working size may help."""


def memory_error(error: BaseException, where: str | None = None, *, fix: str | None = None) -> OutOfMemoryError | None:
    """Word an error that was raised because memory could not be had, or return None.

    A reader that was refused memory may have said that the file is damaged: the causes are looked at too.

    Args:
        error: as it was raised.
        where: what it concerns, if it does not say so itself.
        fix: what may help where no limit is set.
    """
    if isinstance(error, OutOfMemoryError):
        return error
    cause: BaseException | None = error
    while cause is not None and not _lacks_memory(cause):
        cause = cause.__cause__
    if cause is None:
        return None
    limit = address_space_limit()
    reason = f" ({str(cause).splitlines()[0]})" if str(cause) else ""
    what = "out of memory" if limit is None else f"out of memory: the address space is limited to {limit >> 20} MiB"
    fix = fix or "close other programs, or use a smaller --size or fewer --workers"
    if limit is not None:
        fix = "raise the limit, as by `ulimit -v unlimited`: PyTorch alone maps some GiB"
    return OutOfMemoryError(what + reason, where=getattr(error, "where", None) or where, fix=fix)


def address_space_limit() -> int | None:
    """Return the bytes of address space that this process may have (`ulimit -v`), or None = any number."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY)


def system_error(error: OSError, where: str | None = None) -> VossegError:
    """Word an error of the operating system, as of a disk that fails or a folder that may not be read.

    Args:
        error: as it was raised.
        where: what it concerns, if it names no file.
    """
    lacking = memory_error(error, where)
    if lacking is not None:
        return lacking
    what = f"cannot be read or written ({error.strerror or error})"
    return InputError(what, where=error.filename or where, fix="check the path, its permissions and the disk")


def _rebuilt(kind: type[VossegError], what: str, where: str | None, fix: str | None) -> VossegError:
    return kind(what, where=where, fix=fix)
