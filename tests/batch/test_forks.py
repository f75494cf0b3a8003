"""Processes that begin as copies of this one: they know what it has loaded, and they end with it.

Covers: batch.processes
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.batch.test_workers import _group
from vossegcli.batch import processes
from vossegcli.batch.processes import may_fork

SCRIPT = """
import os, sys, time
from pathlib import Path
from vossegcli.batch.processes import Processes
from vossegcli.batch.work import Progress, Worker

sys.loaded_by_parent = True
folder = Path({folder!r})

class Slow(Worker):
    def run(self, jobs, progress):
        for job in jobs:
            (folder / f"begun{{job}}-{{getattr(sys, 'loaded_by_parent', False)}}").touch()
            time.sleep({seconds})
            yield job, os.getpid()

    def lost(self, job, reason):
        return job, reason

if __name__ == "__main__":
    found = dict(Processes(2).run(Slow(), [1, 2], Progress()))
    assert len(set(found.values())) == 2, found
    assert os.getpid() not in found.values()
"""


def script(folder: Path, seconds: float) -> Path:
    path = folder / "parent.py"
    path.write_text(SCRIPT.format(folder=str(folder), seconds=seconds), encoding="utf-8")
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_copies_know_what_is_loaded(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, script(tmp_path, 0.5)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("begun*")} == {"begun1-True", "begun2-True"}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_copies_end_with_their_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, script(tmp_path, 500)], start_new_session=True)
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("begun*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    at_work = len(_group(parent.pid))
    parent.kill()
    parent.wait()
    while _group(parent.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert at_work == 3
    assert not _group(parent.pid)


def test_no_copy_is_made_beside_pytorch_or_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.sys, "platform", "linux")
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: None})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", sys)
        assert not may_fork()
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert may_fork()
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: None, 2: None})
    assert not may_fork()
