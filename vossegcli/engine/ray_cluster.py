"""Actors on a Ray cluster. Paths go to them and masks into the shared output folder; no frame passes through Ray."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from vossegcli.engine.queue import STRIKES, TaskQueue
from vossegcli.errors import ConfigError, DeviceError, VossegError
from vossegcli.runners.batch import Batch, Progress, Task
from vossegcli.runners.running import InProcess
from vossegcli.types import ItemResult

KNOCK_SECONDS = 10.0


class RayActors:
    """Spreads a batch over actors: one a GPU, or so many as are asked for with a share of the cores each.

    Every machine needs this package, and must see inputs and outputs under the same paths.

    Args:
        count: of the actors; None = one a GPU, or a machine where there are no GPUs.
        address: of the cluster's head, or `auto`; None = a cluster of this machine alone, for this run.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, count: int | None, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigError("Ray is not installed", where="--engine", fix="pip install 'vosseg[ray]'") from error
        self._ray: Any = ray  # only half of it has types
        self._count = count
        self._address = address

    def run(self, batch: Batch[Any, Any], tasks: Sequence[Task], progress: Progress) -> Iterator[ItemResult]:
        """Yield how the tasks end, as they end.

        Raises:
            DeviceError: there is no such cluster, or its actors cannot be started.
            VossegError: the actors cannot do any item, e.g. because the supports are bad.
        """
        if not tasks:
            return
        self._connect()
        try:
            yield from self._run(batch, TaskQueue(batch, tasks), progress, len(tasks))
        finally:
            self._ray.shutdown()

    def _connect(self) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self._knock()
            self._ray.init(
                address=self._address, include_dashboard=False if self._address is None else None,
                log_to_driver=False, logging_level=logging.ERROR, configure_logging=True,
            )  # fmt: skip
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            fix = "start it with `ray start --head`, or give another --address"
            raise DeviceError(f"no Ray cluster ({reason})", where=self._address, fix=fix) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has set one of its own

    def _knock(self) -> None:
        """See whether somebody listens at the address: Ray itself would try for minutes."""
        host, colon, port = (self._address or "").rpartition("//")[2].rpartition(":")
        if colon and port.isdecimal():
            socket.create_connection((host, int(port)), KNOCK_SECONDS).close()

    def _run(self, batch: Batch[Any, Any], queue: TaskQueue, progress: Progress, tasks: int) -> Iterator[ItemResult]:
        ray = self._ray
        needs, count = self._shares(batch.model.device.type)
        actor = ray.remote(max_restarts=0, max_task_retries=0, **needs)(_Actor)  # we start anew and try again
        shared = ray.put(batch)
        idle = [actor.remote(shared) for _ in range(min(count, tasks))]
        doing: dict[Any, tuple[Any, list[Task]]] = {}
        deaths = 0
        while queue or doing:
            while idle and queue:
                one, taken = idle.pop(), queue.take()
                for task in taken:
                    progress.item(task.item.name)
                doing[one.run.remote(taken)] = (one, taken)
            (ended,), _ = ray.wait(list(doing), num_returns=1)
            one, taken = doing.pop(ended)
            try:
                results, error = ray.get(ended)
            except ray.exceptions.RayError as lost:
                deaths += 1
                cause = type(lost).__name__
                if deaths > STRIKES * tasks:
                    raise DeviceError(f"actors die before they begin ({cause})", fix="see Ray's own logs") from lost
                one, results, error = actor.remote(shared), [queue.lost(taken, cause)], None
            idle.append(one)
            yield from _counted(results, progress)
            if error is not None:
                raise error

    def _shares(self, device: str) -> tuple[dict[str, float], int]:
        """What one actor asks of the cluster, and how many there are."""
        total = self._ray.cluster_resources()
        cpus, gpus = total.get("CPU", 1.0), int(total.get("GPU", 0))
        if device == "cuda" and gpus:
            count = self._count or gpus
            return {"num_gpus": min(1.0, gpus / count), "num_cpus": 1}, count
        machines = sum(bool(node["Alive"]) for node in self._ray.nodes())
        count = self._count or machines
        return {"num_cpus": max(1, int(cpus // count))}, count


def _counted(results: Sequence[ItemResult | None], progress: Progress) -> Iterator[ItemResult]:
    """The results that there are; their frames are counted now."""
    for result in results:
        if result is not None:
            for _ in range(result.frames):
                progress.frame()
            yield result


class _Actor:
    """Does tasks on some machine of the cluster; the network is loaded once."""

    def __init__(self, batch: Batch[Any, Any]) -> None:
        import ray

        context: Any = ray.get_runtime_context()
        torch.set_num_threads(max(1, int(context.get_assigned_resources().get("CPU", 1))))
        self._batch = batch

    def run(self, tasks: list[Task]) -> tuple[list[ItemResult], VossegError | None]:
        """How the tasks ended, and what kept the others from being done."""
        results = []
        try:
            for result in InProcess().run(self._batch, tasks, _Silent()):
                results.append(result)  # noqa: PERF402 - those before an error must not be lost
        except VossegError as error:
            return results, error
        return results, None


class _Silent:
    """Nobody is told of the single frames on another machine (see `runners.batch.Progress`)."""

    def begin(self, items: int, frames: int) -> None:
        """Say nothing."""

    def item(self, name: str) -> None:
        """Say nothing."""

    def done_before(self, frames: int) -> None:
        """Say nothing."""

    def frame(self) -> None:
        """Say nothing."""

    def result(self, result: ItemResult) -> None:
        """Say nothing."""
