"""The part of a batch that belongs to its task; `run.run_command` does the rest."""

from __future__ import annotations

import glob
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from vossegcli import __version__
from vossegcli.batch.options import BatchOptions
from vossegcli.batch.work import Progress
from vossegcli.io.records.run_records import ItemState, fingerprint
from vossegcli.models.chosen_model import ChosenModel


class Source(Protocol):
    """Something that the input holds, by its name: a sequence, an image."""

    @property
    def name(self) -> str:
        """POSIX path that names the outputs."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a batch; each task adds what it needs to do it.

    Attributes:
        name: POSIX path; names the outputs.
        frames: number of frames to write.
        key: fingerprint of inputs, settings and checkpoint.
        output: the run's output folder.
        is_folder: its outputs are folders of frames, not files.
        notes: what was interpreted of its input, known before it is done.
    """

    name: str
    frames: int
    key: str
    output: Path
    is_folder: bool = False
    notes: tuple[str, ...] = ()

    @property
    def state(self) -> ItemState:
        """Its private files."""
        return ItemState(self.output, self.name)

    def outputs(self, patterns: Iterable[str]) -> Iterator[Path]:
        """Find the files that follow patterns of `BatchOptions.SAVES`."""
        name = glob.escape(self.name)
        files = f"{name}/*" if self.is_folder else name
        for pattern in patterns:
            yield from self.output.glob(pattern.format(name=name, files=files))


class Done(NamedTuple):
    """A finished item: the frames that were done now, all its output files, and notes for the user."""

    frames: int
    outputs: Sequence[Path]
    notes: tuple[str, ...] = ()


OptionsT = TypeVar("OptionsT", bound=BatchOptions)
SourceT = TypeVar("SourceT", bound=Source)
ItemT = TypeVar("ItemT", bound=Item)
PredictorT = TypeVar("PredictorT")


class Session(Generic[ItemT]):
    """Does items one after the other, in the order in which they were announced; to be closed at the end.

    Args:
        run: does an item.
    """

    def __init__(self, run: Callable[[ItemT], Done]) -> None:
        self._run = run

    def run(self, item: ItemT) -> Done:
        """Do an item.

        Raises:
            VossegError: it cannot be done.
        """
        return self._run(item)

    def close(self) -> None:
        """End."""


@dataclass(frozen=True)
class BatchCommand(ABC, Generic[OptionsT, SourceT, ItemT, PredictorT]):
    """A command at work: what its input holds, how an item is done, and which tables stand at the end.

    It can be sent to another process; networks are built where they are used.

    Attributes:
        options: what the command line gives.
        model: what to do it with.
        inputs: what was found, in order.
    """

    options: OptionsT
    model: ChosenModel
    inputs: Sequence[SourceT]

    @staticmethod
    @abstractmethod
    def find(options: OptionsT) -> Sequence[SourceT]:
        """Find what the input holds, each with a name of its own.

        Raises:
            InputError: the input as a whole cannot be used.
        """

    @classmethod
    def prepare(cls, options: OptionsT, model: ChosenModel, inputs: Sequence[SourceT]) -> Self:
        """Read what all items share, and check it."""
        return cls(options, model, inputs)

    @property
    def input_notes(self) -> tuple[str, ...]:
        """Remarks on the input as a whole: what was left out of it or interpreted."""
        return tuple(getattr(self.inputs, "notes", ()))

    @property
    def films(self) -> Iterator[Path]:
        """The videos and image stacks of the input."""
        return iter(())

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that change the results of all items, beside model, working size and kinds of output."""
        return {}

    def key(self, files: Iterable[Path], **more: Any) -> str:  # noqa: ANN401 - JSON
        """Fingerprint of an item: files, settings, and what more changes its result."""
        options = self.options
        common = {
            "version": __version__, **self.model.settings, "size": options.short_side, "save": options.kinds,
            "reading": [options.value_range, options.axis, options.channel],
        }  # fmt: skip
        return fingerprint(files, {**common, **self.settings, **more})

    @abstractmethod
    def plan(self, source: SourceT) -> ItemT:
        """Make the item of something that was found.

        Raises:
            VossegError: it cannot be used.
        """

    def facts(self, items: Sequence[ItemT]) -> dict[str, Any]:  # noqa: ARG002
        """Facts of the task for the run's record."""
        return {}

    def write_index(self, items: Sequence[ItemT]) -> None:  # noqa: B027 - not every batch has such files
        """Write the files that say what the items are, before they are done."""

    @property
    def together(self) -> int:
        """Items that one pass of the network may share; another process gets so many at a time."""
        return 1

    @abstractmethod
    def new_predictor(self, short_side: int | None) -> PredictorT:
        """Build the predictor, to work at a short side; 0 = native, None = the checkpoint's."""

    @abstractmethod
    def session(self, items: Sequence[ItemT], predictor: PredictorT, progress: Progress) -> Session[ItemT]:
        """Prepare for doing these items, in this order."""

    def write_tables(self, done: Sequence[ItemT]) -> dict[str, Any]:  # noqa: ARG002
        """Write the tables of all items that are done, those of other shards too.

        Their inputs may have gone by now.

        Returns:
            values that join the record; `notes` join those that it has.
        """
        return {}


@dataclass(frozen=True)
class SingleItemCommand(BatchCommand[OptionsT, SourceT, ItemT, PredictorT]):
    """A command that does each item by itself."""

    @abstractmethod
    def run(self, item: ItemT, predictor: PredictorT, progress: Progress) -> Done:
        """Do an item.

        Raises:
            VossegError: it cannot be done.
        """

    def session(self, items: Sequence[ItemT], predictor: PredictorT, progress: Progress) -> Session[ItemT]:  # noqa: ARG002
        """Return a session that does each item by `run`."""
        return Session(partial(self.run, predictor=predictor, progress=progress))
