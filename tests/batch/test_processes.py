"""Processes that score jobs: all results, and again what a process was doing that died (`runners.evaluate.parts`)."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vossegcli.batch.processes import Processes
from vossegcli.errors import DeviceError
from vossegcli.runners.evaluate.parts import Scoring


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


def score(count: int, function: Callable[[Any], Any], jobs: Sequence[Any], few: int) -> list[Any]:
    scoring = Scoring(jobs, function, item=str, size=lambda _: 2, files=lambda _: (), pack=id, unpack=id, few=few)
    told: list[tuple[int, int]] = []
    results = scoring.run(Processes(count), lambda done, total: told.append((done, total)))
    assert told == [(2 * k, 2 * len(jobs)) for k in range(1, len(jobs) + 1)]
    return list(results.values())


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order(count: int) -> None:
    assert score(count, squared, range(17), few=3) == [k * k for k in range(17)]


def test_what_a_killed_process_was_doing_is_done_again(tmp_path: Path) -> None:
    markers = [tmp_path / str(k) for k in range(9)]
    for marker in (markers[0], markers[1], *markers[3:]):
        marker.touch()
    assert score(2, squared_by_the_second, markers, few=1) == [4] * 9


def test_what_kills_every_process_is_given_up() -> None:
    with pytest.raises(DeviceError, match="workers die"):
        score(2, never, [1, 2], few=1)
