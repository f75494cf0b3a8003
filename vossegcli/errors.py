"""Typed errors: each says what is wrong, where, and how to fix it.

Only the command line turns a type into an exit code (`cli/exit_codes.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


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


def system_error(error: OSError, where: str | None = None) -> InputError:
    """Word an error of the operating system, as of a disk that fails or a folder that may not be read.

    Args:
        error: as it was raised.
        where: what it concerns, if it names no file.
    """
    what = f"cannot be read or written ({error.strerror or error})"
    return InputError(what, where=error.filename or where, fix="check the path, its permissions and the disk")


def _rebuilt(kind: type[VossegError], what: str, where: str | None, fix: str | None) -> VossegError:
    return kind(what, where=where, fix=fix)
