"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from vossegcli.types import ItemResult

NAME_WIDTH = 28


class _FrameRate(ProgressColumn):
    """Frames a second so far."""

    def render(self, task: Task) -> Text:
        """Format the rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} frames/s")


class BatchProgress:
    """Shows how a batch goes (see `runners.batch.Progress`). Use as a context manager.

    Args:
        quiet: show nothing.
        verbose: a line an item also where a bar is shown, with notes.
    """

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._bar = None
        if not quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _FrameRate(),
                TextColumn("left"), TimeRemainingColumn(), console=self._console,
            )  # fmt: skip
        self._lines = not quiet and (verbose or self._bar is None)
        self._verbose = verbose
        self._quiet = quiet
        self._task = None
        self._items = self._ended = 0

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def begin(self, items: int, frames: int) -> None:
        """Learn how much there is to do."""
        self._items = items
        if self._bar is not None:
            self._task = self._bar.add_task("starting", total=frames)

    def item(self, name: str) -> None:
        """Begin an item."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name[-NAME_WIDTH:])

    def frame(self, count: int = 1) -> None:
        """Count frames that are done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)

    def result(self, result: ItemResult) -> None:
        """Say how an item ended."""
        self._ended += 1
        if result.status == "failed" and not self._quiet:
            self._console.print(f"failed: {result.name}: {result.reason}", markup=False, style="red")
        elif self._lines:
            text = f"[{self._ended}/{self._items}] {result.status}: {result.name}"
            if result.frames:
                text += f", {result.frames} frames, {result.seconds:.1f} s"
            self._console.print(text, markup=False)
        if self._verbose or (not self._quiet and result.notes):
            for note in result.notes:
                self._console.print(f"note: {result.name}: {note}", markup=False, style="yellow")
