"""The fair share of the cores, by hand."""

import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def busy(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("busy")


def test_fair_share(busy) -> None:
    assert busy.fair_share(2, 0, 2) == 1.0
    assert busy.fair_share(1, 1, 2) == 1.0, "a core for each"
    assert busy.fair_share(2, 2, 2) == 2.0, "two cores, four threads"
    assert busy.fair_share(2, 4, 2) == 3.0


@pytest.mark.slow
def test_a_command_is_timed(busy, tmp_path: Path) -> None:
    words = busy.COMMANDS["evaluate"]
    with busy.busy_processes(1):
        assert busy.seconds(words, 2, tmp_path) > 0
