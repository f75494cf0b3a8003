"""Processes of this machine, each with its share of the cores, or with a GPU of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, TypeVar

from vossegcli.batch.threads import threads
from vossegcli.batch.work import STRIKES, Here, JobQueue, Progress, Worker, receive, serve
from vossegcli.errors import ConfigError, DeviceError

GRACE_SECONDS = 20.0  # for a process to close its files when it is told to stop

J = TypeVar("J")
R = TypeVar("R")


class Processes:
    """Spreads jobs over processes; one that dies is replaced and what it was doing is done again.

    Args:
        count: of the processes; None = one a core, 1 = none but this one.

    Raises:
        ConfigError: there are none.
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ConfigError(f"workers is {count}", fix="give 1 or more")
        self._count = count or threads()

    def run(self, worker: Worker[J, R], jobs: Sequence[J], progress: Progress) -> Iterator[R]:
        """Yield the results as they come, in any order.

        Raises:
            DeviceError: the processes die before they begin.
            VossegError: they cannot do any job, e.g. because the supports are bad.
        """
        if self._count == 1 or len(jobs) < max(1, worker.few):
            yield from Here().run(worker, jobs, progress)
            return
        pool = _Pool(worker, JobQueue(worker, jobs), min(self._count, len(jobs)))
        try:
            pool.start()
            while ready := pool.wait():
                for helper in ready:
                    yield from pool.listen(helper, progress)
        finally:
            pool.stop()


@dataclass
class _Helper:
    """A process, this side's end of the pipe to it, and the jobs that it is doing."""

    process: BaseProcess
    pipe: Connection
    number: int
    doing: list[tuple[int, Any]] = field(default_factory=list)
    began: bool = False

    @property
    def cause(self) -> str:
        """Say why it died."""
        code = self.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class _Pool:
    """The processes that work on one queue.

    Args:
        worker: does the jobs.
        queue: of the jobs.
        count: of the processes.
    """

    def __init__(self, worker: Worker[Any, Any], queue: JobQueue[Any, Any], count: int) -> None:
        self._worker, self._queue, self._count = worker, queue, count
        self._helpers: dict[Connection, _Helper] = {}
        self._early_deaths = 0

    def start(self) -> None:
        """Start all processes with their first jobs."""
        for number in range(self._count):
            self._hand_out(self._start_one(number))

    def wait(self) -> list[_Helper]:
        """Wait for processes that have something to say; none where no job is left."""
        if not any(helper.doing for helper in self._helpers.values()):
            return []
        return [self._helpers[pipe] for pipe in wait(list(self._helpers)) if isinstance(pipe, Connection)]

    def listen(self, helper: _Helper, progress: Progress) -> list[Any]:
        """Take the next message of a process; return the results that it brings."""
        try:
            message = helper.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._replace(helper)
        helper.began = True
        results = receive(message, progress)
        if results:
            helper.doing.pop(0)
            if not helper.doing:
                self._hand_out(helper)
        return results

    def stop(self) -> None:
        """End all processes; those that are at work drop their frame and close their files."""
        for helper in self._helpers.values():
            helper.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS  # for all of them together
        for helper in self._helpers.values():
            helper.process.join(max(0.0, deadline - time.monotonic()))
            if helper.process.is_alive():
                helper.process.kill()
                helper.process.join()
            helper.pipe.close()

    def _start_one(self, number: int) -> _Helper:
        context = get_context("fork" if may_fork() else "spawn")
        while True:
            ours, theirs = context.Pipe()
            arguments = (theirs, self._worker, number, self._count)
            process: BaseProcess = context.Process(  # type: ignore[attr-defined]  # all of them have it
                target=_serve, args=arguments, name=f"vosseg-{number}", daemon=True
            )
            try:
                process.start()
                self._helpers[ours] = _Helper(process, ours, number)
                return self._helpers[ours]
            except OSError as error:  # too many processes, or one that died before it had read what it is to do
                ours.close()
                self._count_early_death(error.strerror or str(error))
            finally:
                theirs.close()  # or its end would never be seen

    def _hand_out(self, helper: _Helper) -> None:
        helper.doing = self._queue.take()
        if helper.doing:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `listen` will see it
                helper.pipe.send(helper.doing)

    def _replace(self, helper: _Helper) -> list[Any]:
        """Start a process in the place of one that died; return the result of a job that has cost too many."""
        del self._helpers[helper.pipe]
        helper.process.join()
        helper.pipe.close()
        results = self._queue.lost(helper.doing, helper.cause)
        if helper.began:
            self._early_deaths = 0
        else:
            self._count_early_death(helper.cause)
        self._hand_out(self._start_one(helper.number))
        return results

    def _count_early_death(self, cause: str) -> None:
        """Give up where too many processes in a row die before they begin."""
        self._early_deaths += 1
        if self._early_deaths >= STRIKES * self._count:
            fix = "take fewer --workers: each loads the network"
            raise DeviceError(f"workers die before they begin ({cause})", fix=fix)


def may_fork() -> bool:
    """Return True where a process may begin as a copy of this one, which saves it a quarter of a second of imports.

    A copy has this thread alone, and what PyTorch's or another thread has locked would stay locked in it for good.
    """
    return sys.platform == "linux" and "torch" not in sys.modules and len(sys._current_frames()) == 1


def _serve(pipe: Connection, worker: Worker[Any, Any], number: int, count: int) -> None:
    """Do jobs until the parent has no more, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop_working)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _share_machine(worker, number, count)
    try:
        while True:
            serve(worker, pipe.recv(), pipe.send)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass


def _share_machine(worker: Worker[Any, Any], number: int, count: int) -> None:
    """Take a share of the cores, for more threads than cores make everything slower, and one GPU of several."""
    worker.share(max(1, threads() // count))
    if worker.device != "cuda":
        return
    import torch

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
