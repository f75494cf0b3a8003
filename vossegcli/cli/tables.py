"""Tables and summaries on stdout, and the console of stderr; one line per row where that is no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 4096


def error_console() -> Console:
    """Make a console on stderr that prints text as it is."""
    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


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
        parts.append(f"{totals['frames']} frames at {totals['frames_per_second']:.1f} frames/s")
    typer.echo(" · ".join(parts))
    _show_notes(record)
    if totals["done"] + totals["skipped"]:
        typer.echo(f"results: {record['output']}")


def _show_notes(record: Mapping[str, Any]) -> None:
    """Print what was left out of the input as a whole."""
    for note in record["notes"]:
        typer.echo(f"note: {note}")
