"""The `vosseg` program."""

from __future__ import annotations

import gc
import io
import sys
from typing import Annotated

import typer

from vossegcli import __version__
from vossegcli.cli import checkpoints, evaluate, fewshot, instance, propagate, report, track, train
from vossegcli.cli.exit_codes import ErrorGroup

app = typer.Typer(
    cls=ErrorGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Masks for folders of frames, images and videos.",
)
app.command("propagate")(propagate.propagate)
app.command("fewshot")(fewshot.fewshot)
app.command("instance")(instance.instance)
app.command("track")(track.track)
app.add_typer(evaluate.app, name="evaluate")
app.command("train")(train.train)
app.command("report")(report.report)
app.add_typer(checkpoints.app, name="checkpoints")


def _show_version(value: bool) -> None:  # noqa: FBT001 - Typer's callback
    if value:
        typer.echo(f"vosseg {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of all errors.")] = False,  # noqa: ARG001
) -> None:
    """Masks for folders of frames, images and videos."""


def main() -> None:
    """Entry point."""
    from vossegcli.batch.threads import prepare_threads

    prepare_threads()
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal's encoding lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    finally:
        gc.freeze()  # Python looks through all that is left at its end: with PyTorch loaded, for 0.4 s
