"""Progress on a terminal and elsewhere."""

import io
import os
import sys

import pytest
from rich.console import Console

from vossegcli.cli import tables
from vossegcli.cli.progress import BatchProgress
from vossegcli.types import ItemResult


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()

    def console(**options: object) -> Console:
        kept = {name: value for name, value in options.items() if name != "file"}
        return Console(file=stream, force_terminal=True, width=120, **kept)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "Console", console)
    return stream


def test_the_bar_counts_what_is_left_after_a_resume(screen: io.StringIO) -> None:
    progress = BatchProgress(quiet=False, verbose=False)
    with progress.bar:
        progress.begin(1, 10)
        progress.item("a [bold]b[/bold] :cat:")
        progress.done_before(6)
        for _ in range(4):
            progress.frame()
        progress.result(ItemResult("a", "done", 4, 1.0))
    assert "4/4" in screen.getvalue()
    assert "a [bold]b[/bold]" in screen.getvalue()
    assert "[1/1] done" not in screen.getvalue()


def test_failures_are_printed_as_they_are(screen: io.StringIO) -> None:
    progress = BatchProgress(quiet=True, verbose=False)
    with progress.bar:
        progress.begin(1, 1)
        progress.result(ItemResult("x[red]", "failed", 0, 0.0, "no [mask] :smile:", "InputError"))
    assert "failed: x[red]: no [mask] :smile:" in screen.getvalue()


@pytest.mark.parametrize("reading_end", [True, False])
def test_a_run_outlives_its_stderr(monkeypatch: pytest.MonkeyPatch, reading_end: bool) -> None:  # noqa: FBT001
    """A pipe that is closed fails at the next line, a full disk (a terminal that has gone) likewise."""
    if reading_end:
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(writer, "w", buffering=1, closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        progress = BatchProgress(quiet=False, verbose=True)
        with progress.bar:
            progress.begin(2, 2)
            progress.result(ItemResult("a", "done", 1, 1.0))
            progress.result(ItemResult("b", "failed", 1, 1.0, "bad"))
        assert sys.stderr is not stream, "nothing is left to be written at the exit"
        sys.stderr.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what this test's own stream still holds
    os.close(writer)
