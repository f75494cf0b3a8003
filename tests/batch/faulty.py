"""A command whose items do what their names say: be done, fail, or kill whoever does them."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch

from vossegcli.batch.command import Done, Item, SingleItemCommand
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.run import run_command
from vossegcli.batch.work import Executor, Progress, RunProgress
from vossegcli.errors import DeviceError, InputError, OutOfMemoryError
from vossegcli.io.records.atomic import write_text_atomic

FULL, SMALLER = 64, 32


class Named(NamedTuple):
    """What the input holds."""

    name: str


@dataclass(frozen=True, kw_only=True)
class FaultyOptions(BatchOptions):
    """Options of the command.

    Attributes:
        names: of the items.
    """

    COMMAND = "instance"
    SAVES = {"masks": ("masks/{files}.txt",)}

    names: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        return Path("faults")

    @property
    def input_name(self) -> str:
        return "faults"


@dataclass(frozen=True)
class FaultyModel:
    """What a command asks of its model."""

    device: torch.device = torch.device("cpu")
    short_side: int = FULL
    network: None = None

    @property
    def facts(self) -> dict[str, str]:
        return {}

    @property
    def settings(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class FaultyCommand(SingleItemCommand[FaultyOptions, Named, Item, int]):
    """Items by name: `ok...`, `bad...`, `once...` (kills the first worker), `deadly...`, `large...`, `slow...`."""

    @staticmethod
    def find(options: FaultyOptions) -> Sequence[Named]:
        """The names are the input."""
        return [Named(name) for name in options.names]

    def plan(self, source: Named) -> Item:
        """An item is its name."""
        return Item(name=source.name, frames=1, key=self.key([]), output=self.options.folder)

    def new_predictor(self, short_side: int | None) -> int:
        """The size stands for the predictor."""
        if "unfit" in self.options.names:
            raise InputError("does not fit", where="support.png", fix="draw it again")
        return short_side or FULL

    def run(self, item: Item, predictor: int, progress: Progress) -> Done:
        """Do what its name says."""
        kind = item.name.split("-")[0]
        witness = item.output / f"{item.name}.seen"
        if kind == "bad":
            raise InputError("is bad", where=item.name, fix="fix it")
        if kind == "nan":
            raise DeviceError("values are not finite", where=item.name, fix="use --precision fp32")
        if kind == "large" and predictor > SMALLER:
            raise OutOfMemoryError("out of memory", where=item.name, fix="use a smaller --size")
        if kind == "deadly" or (kind == "once" and not witness.exists()):
            write_text_atomic(witness, "")
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "slow":
            time.sleep(60)
        path = item.output / "masks" / f"{item.name}.txt"
        write_text_atomic(path, f"{item.name} at {predictor}")
        progress.frame()
        return Done(1, [path])

    def write_tables(self, done: Sequence[Item]) -> dict[str, Any]:
        """Count what is there, of all shards."""
        return {"there": len(done)}


def run_faulty(
    output: Path, progress: RunProgress, *names: str, executor: Executor | None = None, dry_run: bool = False,
    **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Run a command of such items."""
    settings = FaultyOptions(output=output, names=names, **options)
    with mock.patch("vossegcli.batch.run.choose_model", lambda *_: FaultyModel()):
        return run_command(FaultyCommand, settings, progress, dry_run=dry_run, executor=executor)
