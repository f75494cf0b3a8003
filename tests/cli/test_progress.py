"""Progress on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from vossegcli.cli import tables
from vossegcli.cli.progress import BatchProgress
from vossegcli.types import ItemResult


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()

    def console(**options: object) -> Console:
        kept = {name: value for name, value in options.items() if name != "stderr"}
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
