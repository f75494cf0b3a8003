"""Signals that come while the commands are still loading end the program quietly. Standard library alone."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

#: Signal -> exit code, and what it does by default (a shell may have it ignored, and then it stays so).
EARLY: Final = {signal.SIGINT: (130, signal.default_int_handler), signal.SIGTERM: (143, signal.SIG_DFL)}


def leave(number: int, _frame: FrameType | None) -> None:
    """End the program: nothing has been begun. Commands replace this when they start."""
    os._exit(EARLY[signal.Signals(number)][0])


def leave_early() -> None:
    """Let the signals that nobody has claimed end the program."""
    for number, (_, default) in EARLY.items():
        if signal.getsignal(number) is default:
            signal.signal(number, leave)
