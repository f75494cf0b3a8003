"""Doing an item: from its beginning or from a snapshot, once more at half size when out of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from vossegcli.batch.command import BatchCommand, Done, Item, Session
from vossegcli.batch.freed_memory import keep_freed_memory
from vossegcli.batch.work import STRIKES, Progress, Worker
from vossegcli.errors import DeviceError, OutOfMemoryError, VossegError, system_error
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.records.atomic import clean_tree
from vossegcli.models.devices import memory_errors
from vossegcli.types import ItemResult


class Attempt(NamedTuple):
    """An item that is to be done, from its beginning or from its snapshot, and why so."""

    item: Item
    resumed: bool = False
    reason: str = ""


class ItemWorker(Worker[Attempt, ItemResult]):
    """Does the items of a batch; a process of its own builds its own predictor.

    Args:
        command: that the items belong to.
    """

    def __init__(self, command: BatchCommand[Any, Any, Any, Any]) -> None:
        self._command = command
        self._predictors: dict[int | None, Any] = {}
        self.together = command.together
        self.device = str(command.model.device)

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what another process builds itself, or gets with its items."""
        return {**self.__dict__, "_predictors": {}, "_command": replace(self._command, inputs=())}

    def share(self, cores: int) -> None:
        """Use so many cores of the machine."""
        torch.set_num_threads(cores)

    def run(self, jobs: Sequence[Attempt], progress: Progress) -> Iterator[ItemResult]:
        """Yield how the items end."""
        keep_freed_memory()
        limit_pixels(self._command.options.max_pixels)
        with closing(self._command.session([job.item for job in jobs], self._predictor(), progress)) as session:
            for job in jobs:
                yield self._do(job, session, progress)

    def retry(self, job: Attempt) -> Attempt:
        """Go on from the last snapshot of the first try, if there is one."""
        clean_tree(self._command.options.folder)
        action, reason = job.item.state.plan(job.item.key, self._command.model.device.type)
        return Attempt(job.item, action == "resume", reason or "")

    def lost(self, job: Attempt, reason: str) -> ItemResult:
        """Record an item that kills whoever does it as failed."""
        what = f"its worker died {STRIKES} times, the last time by {reason}"
        return failed(job.item.name, DeviceError(what, where=job.item.name, fix="do it alone to see why"), 0.0)

    def _predictor(self, *, shrink: bool = False) -> Any:  # noqa: ANN401 - of the task
        """Build the predictor of this process once, at the size asked for or at half of it."""
        side, own = self._command.options.short_side, self._command.model.short_side
        if shrink:
            side = own if side == 0 else (side or own) // 2
        if side not in self._predictors:
            torch.manual_seed(self._command.options.seed)
            self._predictors[side] = self._command.new_predictor(side)
        return self._predictors[side]

    def _do(self, job: Attempt, session: Session[Any], progress: Progress) -> ItemResult:
        item, began = job.item, time.perf_counter()
        progress.item(item.name)
        try:
            if not job.resumed:
                self._clear(item)
            done = self._run(item, session, progress)
            item.state.mark_done(item.key, done.outputs, self._command.model.device.type)
        except VossegError as error:
            return failed(item.name, error, time.perf_counter() - began)
        except OSError as error:  # a disk that fails; the next item may lie elsewhere
            return failed(item.name, system_error(error, item.name), time.perf_counter() - began)
        resumed = (f"resumed: {job.reason}",) if job.resumed and " on " in job.reason else ()
        notes = (*item.notes, *resumed, *done.notes)
        return ItemResult(item.name, "done", done.frames, round(time.perf_counter() - began, 3), notes=notes)

    def _run(self, item: Item, session: Session[Any], progress: Progress) -> Done:
        try:
            with memory_errors(item.name):
                return session.run(item)
        except OutOfMemoryError as error:
            if self._command.options.oom != "shrink":
                raise
            reason = error.what
        self._clear(item)  # from here on, the error and what it kept in memory are gone
        smaller = self._command.session([item], self._predictor(shrink=True), progress)
        with closing(smaller), memory_errors(item.name):
            done = smaller.run(item)
        return done._replace(notes=(*done.notes, f"done at a smaller working size: {reason}"))

    def _clear(self, item: Item) -> None:
        """Remove what earlier runs made of an item, so that old and new outputs never lie side by side.

        A finished item lists its outputs; folders are searched for those of an unfinished one alone.
        """
        search = item.state.was_left_unfinished
        patterns = [p for found in self._command.options.SAVES.values() for p in found if search or "*" not in p]
        item.state.clear(item.outputs(patterns) if search or not item.is_folder else ())


def failed(name: str, error: VossegError, seconds: float) -> ItemResult:
    """Record an item that cannot be done."""
    return ItemResult(name, "failed", 0, round(seconds, 3), str(error), type(error).__name__)
