"""Freed memory is used again: counted in page faults, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from vossegcli.batch.freed_memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
def fill():
    np.empty(40 << 20, np.uint8).fill(1)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, kept: bool) -> int:
    """Count page faults of ten arrays of 40 MiB, one after the other."""
    code = FAULTS.format(kept=kept)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_pages_are_asked_for_once() -> None:
    assert faults(kept=True) < faults(kept=False) / 10
