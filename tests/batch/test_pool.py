"""Processes that apply a function: in order, and again what a process was doing that died."""

import os
import signal
from pathlib import Path

import pytest

from vossegcli.batch.pool import Processes
from vossegcli.errors import DeviceError


def squared(number: int) -> int:
    return number * number


def squared_by_the_second(marker: Path) -> int:
    """Dies the first time."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 4


def never(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order(count: int) -> None:
    assert list(Processes(count).map(squared, range(7), few=3)) == [0, 1, 4, 9, 16, 25, 36]


def test_what_a_killed_process_was_doing_is_done_again(tmp_path: Path) -> None:
    markers = [tmp_path / str(k) for k in range(4)]
    for marker in (markers[0], markers[1], markers[3]):
        marker.touch()
    assert list(Processes(2).map(squared_by_the_second, markers, few=1)) == [4] * 4


def test_what_kills_every_process_is_given_up() -> None:
    with pytest.raises(DeviceError, match="workers die"):
        list(Processes(2).map(never, [1, 2], few=1))
