"""A batch whose items do what their names say: be done, fail, or kill whoever does them."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vossegcli.batch.batch import Batch, Progress, Work, WorkItem
from vossegcli.batch.options import BatchOptions
from vossegcli.errors import DeviceError, InputError
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.run_records import ItemState

FULL, SMALLER = 64, 32


@dataclass(frozen=True, kw_only=True)
class FaultyOptions(BatchOptions):
    """Options of the batch."""

    COMMAND = "faulty"
    SAVES = ("masks",)

    @property
    def input_name(self) -> str:
        return "faults"


@dataclass(frozen=True)
class FaultyModel:
    """What a batch asks of its model."""

    device: torch.device = torch.device("cpu")
    short_side: int = FULL
    network: None = None


class FaultyBatch(Batch[FaultyOptions, int]):
    """Items by name: `ok...`, `bad...`, `once...` (kills the first worker), `deadly...`, `large...`, `slow...`."""

    def new_predictor(self, short_side: int | None) -> int:
        """The size stands for the predictor."""
        if any(item.name == "unfit" for item in self.items):
            raise InputError("does not fit", where="support.png", fix="draw it again")
        return short_side or FULL

    @contextmanager
    def open(self, items: Sequence[WorkItem], predictor: int, progress: Progress) -> Iterator[Work]:
        """Give what does the items."""

        def work(item: WorkItem) -> tuple[int, tuple[str, ...]]:
            kind = item.name.split("-")[0]
            witness = self.options.folder / f"{item.name}.seen"
            if kind == "bad":
                raise InputError("is bad", where=item.name, fix="mend it")
            if kind == "large" and predictor > SMALLER:
                raise DeviceError("out of memory", where=item.name, fix="use a smaller --size")
            if kind == "deadly" or (kind == "once" and not witness.exists()):
                write_text_atomic(witness, "")
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "slow":
                time.sleep(60)
            path = self.options.folder / "masks" / f"{item.name}.txt"
            write_text_atomic(path, f"{item.name} at {predictor}")
            progress.frame()
            ItemState(self.options.folder, item.name).mark_done(item.key, [path], {"frames": 1})
            return 1, ()

        yield work

    def conclude(self) -> dict[str, Any]:
        """Count what is there, of all shards."""
        return {"there": len(list((self.options.folder / "masks").glob("*.txt")))}


def faulty_batch(output: Path, *names: str, **options: Any) -> FaultyBatch:
    """A batch of such items."""
    items = tuple(WorkItem(name, 1, f"key of {name}") for name in names)
    return FaultyBatch(FaultyOptions(output=output, **options), FaultyModel(), items, {})  # type: ignore[arg-type]
