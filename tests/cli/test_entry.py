"""Signals that come while the commands are still loading: the exit code of the signal, and no traceback."""

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import finish, start

SCRIPT = """
import pathlib, signal, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "vossegcli.cli.app":
            pathlib.Path({loading!r}).touch()
            time.sleep(300)

sys.meta_path.insert(0, Slow())
{before}
from vossegcli.cli.entry import main
main()
"""


def stop_early(tmp_path: Path, *numbers: signal.Signals, before: str = "") -> tuple[int, str]:
    loading = tmp_path / "loading"
    process = start([sys.executable, "-c", SCRIPT.format(loading=str(loading), before=before), "--version"])
    deadline = time.monotonic() + 300
    while not loading.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    outcome = finish(process)
    return outcome.code, outcome.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_loading(tmp_path: Path, number: signal.Signals, code: int) -> None:
    assert stop_early(tmp_path, number) == (code, "")


def test_what_the_shell_ignores_stays_ignored(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert stop_early(tmp_path, signal.SIGINT, signal.SIGTERM, before=before) == (143, "")
