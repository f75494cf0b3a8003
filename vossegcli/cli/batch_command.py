"""The common half of the commands that work through a batch: their options, and how they run and end.

Imports nothing heavy: `--help` must answer at once.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from vossegcli.cli import options as o
from vossegcli.cli.exit_codes import code_of_record
from vossegcli.cli.progress import BatchProgress
from vossegcli.cli.tables import show_plan
from vossegcli.names import MAX_PIXELS

if TYPE_CHECKING:
    from vossegcli.batch.command import BatchCommand
    from vossegcli.batch.options import BatchOptions

Record = dict[str, Any]


@dataclass(frozen=True)
class CommonOptions:
    """The options that all these commands have. A new one is a line here, and one in `settings` or `run`."""

    output: o.Output = None
    value_range: o.Range = None
    axis: o.Axis = None
    channel: o.Channel = None
    size: o.ShortSide = None
    checkpoint: o.Checkpoint = None
    device: o.Device = "auto"
    precision: o.PrecisionOption = o.Precision.auto
    oom: o.OomOption = o.Oom.fail
    max_pixels: o.MaxPixels = MAX_PIXELS
    workers: o.Workers = None
    threads: o.Threads = None
    shard: o.ShardOption = None
    engine: o.Engine = o.EngineName.local
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
        return {
            "output": self.output, "short_side": o.short_side(self.size), "checkpoint": self.checkpoint,
            "device": self.device, "precision": self.precision.value, "oom": self.oom.value,
            "value_range": self.value_range, "axis": self.axis, "channel": self.channel, "max_pixels": self.max_pixels,
            "shard": o.shard(self.shard), "seed": self.seed,
            "overwrite": self.overwrite, "command": o.command_line(),
        }  # fmt: skip

    def run(
        self, kind: type[BatchCommand[Any, Any, Any, Any]], options: BatchOptions, show: Callable[[Record], None]
    ) -> None:
        """Run a command or plan it, print what was asked for, and exit with its code.

        Args:
            kind: the task's part of it.
            options: what to do.
            show: prints a summary of a run.
        """
        from vossegcli.batch.run import run_command

        executor = o.executor(
            self.workers or (None if self.engine is o.EngineName.ray else 1), self.engine, self.address
        )
        with BatchProgress(quiet=self.quiet or self.dry_run, verbose=self.verbose) as progress:
            record = run_command(kind, options, progress, dry_run=self.dry_run, executor=executor)
        if self.as_json:
            typer.echo(json.dumps(record, default=str))
        elif self.dry_run:
            show_plan(record)
        elif not self.quiet:
            show(record)
        raise typer.Exit(code_of_record(record))


def batch_command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options: its parameter `common` becomes one parameter for each of them."""
    hints = get_type_hints(function, include_extras=True)
    shared = get_type_hints(CommonOptions, include_extras=True)
    own = inspect.signature(function).parameters.values()
    parameters = [p.replace(annotation=hints[p.name]) for p in own if p.name != "common"] + [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=shared[f.name])
        for f in fields(CommonOptions)
    ]

    @functools.wraps(function)
    def command(**values: Any) -> None:  # noqa: ANN401
        common = CommonOptions(**{name: values.pop(name) for name in shared if name in values})
        o.prepare_threads(common.threads)  # before the command imports torch
        function(**values, common=common)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
