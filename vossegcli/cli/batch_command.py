"""The common half of the commands that work through a batch: their options, and how they run and end.

Imports nothing heavy: `--help` must answer at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.exit_codes import code_of_record
from vossegcli.cli.progress import BatchProgress
from vossegcli.cli.tables import show_plan, show_totals
from vossegcli.names import MAX_PIXELS

if TYPE_CHECKING:
    from vossegcli.batch.command import BatchCommand
    from vossegcli.batch.options import BatchOptions

Record = dict[str, Any]


@dataclass(frozen=True)
class CommonOptions:
    """The options that all these commands have. Those that `BatchOptions` has too are called as there."""

    output: o.Output = None
    value_range: o.Range = None
    axis: o.Axis = None
    channel: o.Channel = None
    short_side: o.ShortSide = None
    checkpoint: o.Checkpoint = None
    device: o.Device = "auto"
    precision: o.Precision = "auto"
    oom: o.Oom = "fail"
    max_pixels: o.MaxPixels = MAX_PIXELS
    workers: o.Workers = None
    threads: o.Threads = None
    shard: o.ShardOption = None
    engine: o.Engine = "local"
    address: o.Address = None
    seed: o.Seed = 0
    overwrite: o.Overwrite = False
    dry_run: o.DryRun = False
    as_json: o.Json = False
    quiet: o.Quiet = False
    verbose: o.Verbose = False

    @property
    def settings(self) -> dict[str, Any]:
        """The part of them that `BatchOptions` takes."""
        from vossegcli.batch.options import BatchOptions

        taken = {f.name for f in fields(BatchOptions)}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name in taken} | {"command": o.command_line()}

    def run(
        self, kind: type[BatchCommand[Any, Any, Any, Any]], options: BatchOptions, show: Callable[[Record], None]
    ) -> None:
        """Run a command or plan it, print what was asked for, and exit with its code.

        Args:
            kind: the task's part of it.
            options: what to do.
            show: prints the task's part of the summary of a run.
        """
        from vossegcli.batch.run import run_command

        executor = o.executor(self.workers or (None if self.engine == "ray" else 1), self.engine, self.address)
        progress = BatchProgress(quiet=self.quiet or self.dry_run, verbose=self.verbose)
        with progress.bar:
            record = run_command(kind, options, progress, dry_run=self.dry_run, executor=executor)
        if self.as_json:
            typer.echo(json.dumps(record, default=str))
        elif self.dry_run:
            show_plan(record)
        elif not self.quiet:
            show_totals(record)
            show(record)
        raise typer.Exit(code_of_record(record))
