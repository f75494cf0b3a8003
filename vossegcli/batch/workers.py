"""Processes of this machine, each with its share of the cores, or with a GPU of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

import torch

from vossegcli.batch.batch import Batch, Progress, Task
from vossegcli.batch.pool import cores
from vossegcli.batch.run import InProcess
from vossegcli.batch.task_queue import STRIKES, TaskQueue
from vossegcli.errors import DeviceError, VossegError
from vossegcli.types import ItemResult

GRACE_SECONDS = 20.0  # for a worker to close its files when it is told to stop


@dataclass
class _Worker:
    """A process, this side's end of the pipe to it, and what it is doing."""

    process: SpawnProcess
    pipe: Connection
    doing: list[Task] = field(default_factory=list)
    began: bool = False


class Workers:
    """Spreads a batch over processes; one that dies is replaced and what it was doing is done again.

    Args:
        count: of the processes.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, batch: Batch[Any, Any], tasks: Sequence[Task], progress: Progress) -> Iterator[ItemResult]:
        """Yield how the tasks end, as they end.

        Raises:
            VossegError: the workers cannot do any item, e.g. because the supports are bad.
        """
        queue = TaskQueue(batch, tasks)
        count = min(self._count, len(tasks))
        workers: dict[Connection, _Worker] = {}
        early_deaths = 0
        try:
            for number in range(count):
                _send_next(_start(batch, number, count, workers), queue)
            while any(worker.doing for worker in workers.values()):
                for pipe in wait(list(workers)):
                    assert isinstance(pipe, Connection)
                    worker = workers[pipe]
                    try:
                        kind, value = pipe.recv()
                    except (EOFError, ConnectionResetError):
                        result = _bury(workers.pop(pipe), queue)
                        early_deaths = 0 if worker.began else early_deaths + 1
                        if early_deaths >= STRIKES * count:
                            raise DeviceError(
                                f"workers die before they begin ({_cause(worker)})",
                                fix="take fewer --workers: each loads the network",
                            ) from None
                        if result is not None:
                            yield result
                        _send_next(_start(batch, _free_number(workers, count), count, workers), queue)
                        continue
                    worker.began = True
                    if kind == "error":
                        raise value
                    if kind == "result":
                        worker.doing.pop(0)
                        yield value
                        if not worker.doing:
                            _send_next(worker, queue)
                    else:
                        getattr(progress, kind)(*value)
        finally:
            _stop(workers.values())


def _start(batch: Batch[Any, Any], number: int, count: int, workers: dict[Connection, _Worker]) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, batch, number, count), name=f"vosseg-{number}", daemon=True)
    process.start()
    theirs.close()  # or its end would never be seen
    workers[ours] = _Worker(process, ours)
    return workers[ours]


def _free_number(workers: dict[Connection, _Worker], count: int) -> int:
    taken = {worker.process.name for worker in workers.values()}
    return next(number for number in range(count) if f"vosseg-{number}" not in taken)


def _send_next(worker: _Worker, queue: TaskQueue) -> None:
    worker.doing = queue.take()
    if worker.doing:
        worker.pipe.send(worker.doing)


def _bury(worker: _Worker, queue: TaskQueue) -> ItemResult | None:
    worker.process.join()
    worker.pipe.close()
    return queue.lost(worker.doing, _cause(worker)) if worker.doing else None


def _cause(worker: _Worker) -> str:
    code = worker.process.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _stop(workers: Collection[_Worker]) -> None:
    """End all workers; those that are at work drop their frame and close their files."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(GRACE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


class _Reporter:
    """Tells the parent how a batch goes (see `runners.batch.Progress`)."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def item(self, name: str) -> None:
        """Begin an item."""
        self._pipe.send(("item", (name,)))

    def done_before(self, frames: int) -> None:
        """Learn that a run before this one did some of the item's frames."""
        self._pipe.send(("done_before", (frames,)))

    def frame(self) -> None:
        """Count a frame that is done."""
        self._pipe.send(("frame", ()))

    def begin(self, items: int, frames: int) -> None:
        """The parent knows."""

    def result(self, result: ItemResult) -> None:
        """The parent learns it otherwise."""


def _serve(pipe: Connection, batch: Batch[Any, Any], number: int, count: int) -> None:
    """Do tasks until the parent has no more, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, _stop_working)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _share_machine(number, count, batch.model.device)
    executor = InProcess()
    try:
        while True:
            tasks = pipe.recv()
            for result in executor.run(batch, tasks, _Reporter(pipe)):
                pipe.send(("result", result))
    except VossegError as error:
        pipe.send(("error", error))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass


def _share_machine(number: int, count: int, device: torch.device) -> None:
    """Take a share of the cores, for more threads than cores make everything slower, and one GPU of several."""
    torch.set_num_threads(max(1, cores() // count))
    if device.type != "cuda" or device.index is not None:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(k) for k in range(torch.cuda.device_count())]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _stop_working(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
