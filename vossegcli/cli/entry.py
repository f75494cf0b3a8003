"""Entry point of the program: settles streams and signals before it loads the commands, which takes a second."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from vossegcli.cli.early_signals import leave_early

STDOUT, STDERR = 1, 2


def main() -> None:
    """Run the command line."""
    open_streams()
    leave_early()
    from vossegcli.cli.app import main as run

    run()


def open_streams() -> None:
    """Open as nowhere what the caller has closed (`2>&-`).

    Else the next file to be opened would get its number, and what a library says on stderr would stand in it.
    """
    number = 0
    while number <= STDERR:  # the system gives the lowest number that is free
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for number in range(STDERR + 1):
        os.set_inheritable(number, True)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(STDOUT), sys.stderr or _nowhere(STDERR)


def _nowhere(number: int) -> TextIO:
    return os.fdopen(number, "w", encoding="utf-8", closefd=False)
