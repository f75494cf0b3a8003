"""`vosseg report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vossegcli.cli import options as o


def report(
    run: Annotated[Path, typer.Argument(parser=o.path, metavar="RUN_DIR", help="Output folder of a run.")],
) -> None:
    """Write the page of a finished run, report.html, into its folder."""
    from vossegcli.batch.report import write_report

    typer.echo(str(write_report(run)))
