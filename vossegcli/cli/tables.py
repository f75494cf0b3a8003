"""Tables and summaries on stdout, and the console of stderr; one line per row where that is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vossegcli.wording import counted

PIPE_WIDTH = 4096


class _LastingStderr:
    """Writes to stderr until that goes away, with a terminal or a pipe that is closed; a run does not end with it."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any file
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except OSError:
            self._go_silent()
        return len(text)

    def flush(self) -> None:
        try:
            sys.stderr.flush()
        except OSError:
            self._go_silent()

    def _go_silent(self) -> None:
        # What is left to write to the old one would fail at the exit.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end


def error_console() -> Console:
    """Make a console on stderr that prints text as it is."""
    return Console(file=cast(IO[str], _LastingStderr()), soft_wrap=True, highlight=False, emoji=False)


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of plain text; names with brackets or colons are printed as they are."""
    table = Table(*headings, box=None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def show_plan(record: Mapping[str, Any]) -> None:
    """Print what a batch would do."""
    rows = ((row["name"], str(row["frames"]), row["action"], row["reason"] or "") for row in record["plan"])
    show_table(("item", "frames", "action", "reason"), rows)
    for row in record["plan"]:
        for note in row["notes"]:
            typer.echo(f"note: {row['name']}: {note}")
    _show_notes(record)
    typer.echo(f"output: {record['output']}")


def show_totals(record: Mapping[str, Any]) -> None:
    """Print what a batch has done, and where its masks are."""
    totals = record["totals"]
    parts = [f"{totals[status]} {status}" for status in ("done", "skipped", "failed") if totals[status]]
    if totals["frames_per_second"]:
        parts.append(f"{counted(totals['frames'], 'frame[|s]')} at {totals['frames_per_second']:.1f} frames/s")
    typer.echo(" · ".join(parts))
    _show_notes(record)
    if totals["done"] + totals["skipped"]:
        typer.echo(f"results: {record['output']}")


def _show_notes(record: Mapping[str, Any]) -> None:
    """Print what was left out of the input as a whole."""
    for note in record["notes"]:
        typer.echo(f"note: {note}")
