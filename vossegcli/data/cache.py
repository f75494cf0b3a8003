"""A cache of decoded arrays that is bounded by bytes, so that large photographs do not fill the memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
Array = npt.NDArray[Any]

SHARE = 0.25  # of the memory that is free when the first array is kept
FALLBACK_BYTES = 1 << 30  # where the system does not tell
MEMINFO = Path("/proc/meminfo")
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


class ArrayCache(Generic[Key]):
    """Keeps the arrays that were used last; threads may share it.

    Args:
        limit: bytes of all arrays; None = a share of the free memory.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._arrays: OrderedDict[Key, Array] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Key, make: Callable[[], Array]) -> Array:
        """Return the array of a key, not to be changed; it is made where it is not kept."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        made = make()
        with self._lock:
            if self._limit is None:
                self._limit = int(SHARE * free_memory())
            if key not in self._arrays:
                self._arrays[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._limit and self._arrays:
                _, oldest = self._arrays.popitem(last=False)
                self._bytes -= oldest.nbytes
        return made

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are kept."""
        return self._bytes


def free_memory() -> int:
    """Return the bytes that this process can still take, by the system and its control group."""
    free = FALLBACK_BYTES
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="utf-8").splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) * 1024
        limit = MEMORY_LIMIT.read_text(encoding="utf-8").strip()
    except (OSError, KeyError, ValueError, IndexError):
        return free
    return min(free, int(limit)) if limit.isdecimal() else free
