"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from vossegcli.batch.work import RunProgress
from vossegcli.cli.tables import error_console
from vossegcli.types import ItemResult
from vossegcli.wording import counted

NAME_WIDTH = 28


class _FrameRate(ProgressColumn):
    """Frames a second so far."""

    def render(self, task: Task) -> Text:
        """Format the rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} frames/s")


class BatchProgress(RunProgress):
    """Shows how a batch goes.

    Attributes:
        bar: to be entered while the batch runs; shows nothing where there is no terminal.

    Args:
        quiet: show nothing.
        verbose: a line an item also where a bar is shown.
    """

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._console = error_console()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _FrameRate(),
            TextColumn("left"), TimeRemainingColumn(),
            console=self._console, disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self.bar.add_task("starting", visible=False)
        self._quiet, self._lines = quiet, not quiet and (verbose or self.bar.disable)
        self._items = self._ended = self._total = 0

    def begin(self, items: int, frames: int) -> None:
        """Learn how much there is to do."""
        self._items, self._total = items, frames
        self.bar.reset(self._task, total=frames, visible=True)

    def item(self, name: str) -> None:
        """Begin an item."""
        self.bar.update(self._task, description=name[-NAME_WIDTH:])

    def done_before(self, frames: int) -> None:
        """Take off the frames that a run before this one did; they would spoil rate and time left."""
        self._total -= frames
        self.bar.update(self._task, total=self._total)

    def frame(self) -> None:
        """Count a frame that is done."""
        self.bar.advance(self._task)

    def result(self, result: ItemResult) -> None:
        """Say how an item ended; failures are said even when quiet."""
        self._ended += 1
        if result.status == "failed":
            reason = str(result.reason)
            text = reason if reason.startswith(f"{result.name}: ") else f"{result.name}: {reason}"
            self._console.print(f"failed: {text}", markup=False, style="red")
        elif self._lines:
            text = f"[{self._ended}/{self._items}] {result.status}: {result.name}"
            if result.frames:
                text += f", {counted(result.frames, 'frame[|s]')}, {result.seconds:.1f} s"
            self._console.print(text, markup=False)
        if not self._quiet:
            for note in result.notes:
                self._console.print(f"note: {result.name}: {note}", markup=False, style="yellow")
