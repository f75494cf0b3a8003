"""The one table from error types to exit codes, and the group of commands that applies it."""

from __future__ import annotations

import re
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

import typer
from typer.core import TyperGroup

from vossegcli import errors
from vossegcli.cli.early_signals import leave
from vossegcli.cli.tables import error_console

BUG: Final = 1
SOME_FAILED: Final = 7
INTERRUPTED: Final = 130
OF_SIGNAL: Final = 128  # and its number: 129 = SIGHUP, 143 = SIGTERM
CODES: Final[dict[type[errors.VossegError], int]] = {
    errors.InputError: 3,
    errors.CheckpointError: 4,
    errors.ConfigError: 5,
    errors.DeviceError: 6,
}


def code_of(error: errors.VossegError) -> int:
    """The exit code of an error."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), BUG)


def code_of_record(record: Mapping[str, Any]) -> int:
    """The exit code of a batch: 0, the only item's own code, or 7 when some of several items failed."""
    failed = record["failed"]
    if not failed:
        return 0
    totals = record.get("totals")
    items = len(record["plan"]) if totals is None else sum(totals[status] for status in ("done", "skipped", "failed"))
    if items > 1:
        return SOME_FAILED
    kind = getattr(errors, str(failed[0]["error"]), None)
    return code_of(kind("")) if isinstance(kind, type) and issubclass(kind, errors.VossegError) else BUG


class ErrorGroup(TyperGroup):
    """Turns typed errors into one or two lines on stderr and an exit code; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's vendored context
        """Run the command that was asked for."""
        if threading.current_thread() is threading.main_thread():
            _take_signals()
        console = error_console()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            again = " with --resume" if ctx.invoked_subcommand == "train" else ""
            console.print(f"interrupted: what was finished stays; the same command{again} goes on from here")
            raise typer.Exit(OF_SIGNAL + stop.number if isinstance(stop, _Terminated) else INTERRUPTED) from None
        except _TYPER_CONTROL as error:
            _add_hint(error)
            raise
        except Exception as error:
            told = _told(error)
            if told is None:
                traceback.print_exc(file=sys.stderr)
                console.print("this is a bug in vosseg: please report it with the lines above", style="bold red")
                raise typer.Exit(BUG) from error
            if ctx.params.get("debug"):
                traceback.print_exc()
            console.print("error:", style="bold red", end=" ")
            console.print(str(told), markup=False)
            nowhere = isinstance(error, OSError) and isinstance(told, errors.InputError) and told.where is None
            raise typer.Exit(BUG if nowhere else code_of(told)) from error


def _told(error: Exception) -> errors.VossegError | None:
    """Return what is said of an error, or None if it is a bug."""
    lacking = errors.memory_error(error)
    if lacking is not None:
        return lacking
    if isinstance(error, OSError):
        return errors.system_error(error)
    return error if isinstance(error, errors.VossegError) else None


def _add_hint(error: BaseException) -> None:
    """Say what to do where a shell made many arguments of a pattern, and show only the first one of them."""
    found = re.fullmatch(r"Got unexpected extra argument\S* \((.*)\)", str(getattr(error, "message", "")), re.DOTALL)
    if found:
        first, *others = found[1].split()
        more = " and others" if others else ""
        error.message = (  # type: ignore[attr-defined]
            f"Got an unexpected argument: {first}{more}. Put a pattern in quotes, as in 'frames/*.png'"
        )


def _typer_control() -> tuple[type[BaseException], ...]:
    """Exceptions that Typer handles: exit, abort, usage errors (of its private Click) and closed pipes."""
    base = typer.BadParameter.__mro__  # BadParameter -> UsageError -> ClickException
    click_exception = next(kind for kind in base if kind.__name__ == "ClickException")
    return (typer.Exit, typer.Abort, click_exception, BrokenPipeError)


_TYPER_CONTROL = _typer_control()


class _Terminated(KeyboardInterrupt):
    """SIGTERM, or SIGHUP of a terminal that is closed, which end a run like Ctrl-C but for the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _take_signals() -> None:
    """Let signals end the command by an exception; what the shell has ignored, as `nohup` does, stays so."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_DFL:
        signal.signal(hang_up, _terminate)


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise _Terminated(number)
