"""A `map` over processes for work that is too small to be an item of a batch."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of <malloc.h>
KEPT_BYTES = 1 << 26


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def process_map(workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give a `map` over so many processes; with one, the built-in `map`, in this process.

    Results come in order, as they are there.
    """
    if workers < 2:
        _keep_freed_memory()
        yield map
        return
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, initializer=_keep_freed_memory) as pool:
        yield pool.map


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays: a third of the time goes into asking for the same pages again."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option in (M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD):
            libc.mallopt(option, KEPT_BYTES)
