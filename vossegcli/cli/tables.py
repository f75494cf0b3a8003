"""Tables on stdout: fitted to a terminal, one line a row elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 4096


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of plain text; names with brackets or colons are printed as they are."""
    table = Table(*headings, box=None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)
