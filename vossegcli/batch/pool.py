"""A `map` over processes for work that is too small to be an item of a batch."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from vossegcli.errors import DeviceError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of <malloc.h>
KEPT_BYTES = 1 << 26
STRIKES = 3  # pools that may die one after the other without a result


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Scatter(Protocol):
    """Has a function applied to many things somewhere."""

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any], *, few: int) -> Iterator[Any]:
        """Yield the results in the order of the tasks, as they are there.

        Args:
            function: of one argument, at the top of its module.
            tasks: its arguments.
            few: with fewer tasks, other processes take longer to start than to work.
        """


class Processes:
    """Processes of this machine; one that dies is replaced, and what it was doing is done again.

    Args:
        count: of the processes; 0 = one a core.
    """

    def __init__(self, count: int = 0) -> None:
        self._count = count or cores()

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any], *, few: int) -> Iterator[Any]:
        """Yield the results in the order of the tasks, as they are there.

        Raises:
            DeviceError: the processes die again and again.
        """
        if self._count < 2 or len(tasks) < few:  # noqa: PLR2004 - one more process would only wait for this one
            _keep_freed_memory()
            yield from map(function, tasks)
            return
        spawned = multiprocessing.get_context("spawn")
        done = strikes = 0
        while done < len(tasks):
            try:
                with ProcessPoolExecutor(self._count, spawned, initializer=_keep_freed_memory) as pool:
                    for result in pool.map(function, tasks[done:]):
                        yield result
                        done, strikes = done + 1, 0
            except BrokenProcessPool as error:
                strikes += 1
                if strikes == STRIKES:
                    raise DeviceError("workers die before they end anything", fix="take fewer --workers") from error


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays: a third of the time goes into asking for the same pages again."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option in (M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD):
            libc.mallopt(option, KEPT_BYTES)
