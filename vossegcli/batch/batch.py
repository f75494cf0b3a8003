"""What a command is to do, planned: a `Batch` of items, and who has them done.

A runner plans a batch, and `run.run_batch` has its items done by an executor, which decides where: in this process,
or in others (`workers`, `ray_cluster`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch

from vossegcli.batch.options import BatchOptions
from vossegcli.errors import VossegError
from vossegcli.models.chosen_model import ChosenModel
from vossegcli.types import ItemResult

Options = TypeVar("Options", bound=BatchOptions)
P = TypeVar("P")


@dataclass(frozen=True)
class WorkItem:
    """One item of a batch.

    Attributes:
        name: POSIX path; names the outputs.
        frames: number of frames to write.
        key: fingerprint of inputs, settings and checkpoint; empty where there is an error.
        error: why the item cannot be run at all, found while planning.
    """

    name: str
    frames: int
    key: str
    error: VossegError | None = None


class Task(NamedTuple):
    """An item that is to be done, and whether from its beginning or from where another run has left it."""

    item: WorkItem
    resumed: bool = False


class Progress(Protocol):
    """Who is told how the batch goes."""

    def begin(self, items: int, frames: int) -> None:
        """Learn how much there is to do."""

    def item(self, name: str) -> None:
        """Begin an item."""

    def done_before(self, frames: int) -> None:
        """Learn that a run before this one did some of the item's frames."""

    def frame(self) -> None:
        """Count a frame that is done."""

    def result(self, result: ItemResult) -> None:
        """Learn how an item ended."""


Work = Callable[[WorkItem], tuple[int, tuple[str, ...]]]


@dataclass(frozen=True)
class Batch(ABC, Generic[Options, P]):
    """What a command is to do, planned. It can be sent to another process: networks are built where they are used.

    Attributes:
        options: what the command line gives.
        model: what to do it with.
        items: what to do.
        facts: version, command, checkpoint, device ... for the record.
    """

    options: Options
    model: ChosenModel
    items: tuple[WorkItem, ...]
    facts: dict[str, Any]
    _predictors: dict[int | None, P] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def together(self) -> int:
        """Items that one pass of the network may share; another process gets so many at a time."""
        return 1

    def begin(self) -> None:  # noqa: B027 - not every batch has such files
        """Write the files that say what the items are."""

    @abstractmethod
    def new_predictor(self, short_side: int | None) -> P:
        """Build the predictor, to work at a short side."""

    @abstractmethod
    def open(self, items: Sequence[WorkItem], predictor: P, progress: Progress) -> AbstractContextManager[Work]:
        """Give what does these items one after the other, in this order.

        It returns the frames that were done now and notes, and raises `VossegError` for a bad item.
        """

    @abstractmethod
    def conclude(self) -> dict[str, Any]:
        """Write the tables of all items that are done, those of other shards too; the values join the record."""

    def predictor(self, *, shrink: bool = False) -> P:
        """The predictor of this process, at the size asked for or at a smaller one."""
        side = self.options.short_side
        if shrink:
            side = self.model.short_side if side == 0 else (side or self.model.short_side) // 2
        if side not in self._predictors:
            torch.manual_seed(self.options.seed)
            self._predictors[side] = self.new_predictor(side)
        return self._predictors[side]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the predictors behind."""
        return {**self.__dict__, "_predictors": {}}


class Executor(Protocol):
    """Has the tasks of a batch done somewhere."""

    def run(self, batch: Batch[Any, Any], tasks: Sequence[Task], progress: Progress) -> Iterator[ItemResult]:
        """Yield how the tasks end, as they end."""
