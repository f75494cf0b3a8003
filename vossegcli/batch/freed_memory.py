"""Memory that arrays and tensors give back, and that the next ones take again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of <malloc.h>
KEPT_BYTES = 1 << 26


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays: it would ask the system for the same pages again, for every frame."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option in (M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD):
            libc.mallopt(option, KEPT_BYTES)
