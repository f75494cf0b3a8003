"""Actors on a Ray cluster. Paths go to them and masks into the shared output folder; no frame passes through Ray."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from vossegcli.batch.batch import Batch, Progress, Task
from vossegcli.batch.run import InProcess
from vossegcli.batch.task_queue import STRIKES, TaskQueue
from vossegcli.errors import ConfigError, DeviceError, VossegError
from vossegcli.types import ItemResult

KNOCK_SECONDS = 10.0
AHEAD = 2  # tasks that are sent for each that can be done at a time


def import_ray() -> Any:  # noqa: ANN401 - only half of it has types
    """The package, which sends no statistics of its use.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not installed", where="--engine", fix="pip install 'vosseg[ray]'") from error
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:  # noqa: ANN401
    """Be connected with a cluster, or with one of this machine that ends with the connection.

    Raises:
        DeviceError: there is no such cluster.
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        ray.init(
            address=address, include_dashboard=False if address is None else None, log_to_driver=False,
            logging_level=logging.ERROR, configure_logging=True,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        fix = "start it with `ray start --head`, or give another --address"
        raise DeviceError(f"no Ray cluster ({reason})", where=address, fix=fix) from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has set one of its own
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """See whether somebody listens at the address: Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition("//")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()


class _OnRay:
    """Something that is done on a Ray cluster.

    Args:
        count: of actors, or of tasks at a time.
        address: of the cluster's head, or `auto`; None = a cluster of this machine alone, for this run.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, count: int | None, address: str | None) -> None:
        self._ray = import_ray()
        self._count = count
        self._address = address


class RayTasks(_OnRay):
    """Applies functions on a Ray cluster (see `runners.pool.Scatter`); what is lost with a machine is done again.

    `count` is of the tasks at a time; None = one a core of the cluster.
    """

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any], *, few: int) -> Iterator[Any]:
        """Yield the results in the order of the tasks, as they are there.

        Raises:
            DeviceError: there is no such cluster, or workers die again and again.
        """
        del few  # who asks for a cluster gets it
        ray = self._ray
        with connected(ray, self._address):
            remote = ray.remote(max_retries=STRIKES, num_cpus=1)(function)
            count = self._count or int(ray.cluster_resources().get("CPU", 1))
            waiting, doing = deque(tasks), deque[Any]()
            while waiting or doing:
                while waiting and len(doing) < AHEAD * count:
                    doing.append(remote.remote(waiting.popleft()))
                try:
                    yield ray.get(doing.popleft())
                except ray.exceptions.RayTaskError:  # an error of the function itself
                    raise
                except ray.exceptions.RayError as error:
                    raise DeviceError(
                        f"Ray's workers die ({type(error).__name__})", fix="see Ray's own logs"
                    ) from error


class RayActors(_OnRay):
    """Spreads a batch over actors: one a GPU, or so many as are asked for with a share of the cores each.

    Every machine needs this package, and must see inputs and outputs under the same paths.

    `count` is of the actors; None = one a GPU, or a machine where there are no GPUs.
    """

    def run(self, batch: Batch[Any, Any], tasks: Sequence[Task], progress: Progress) -> Iterator[ItemResult]:
        """Yield how the tasks end, as they end.

        Raises:
            DeviceError: there is no such cluster, or its actors cannot be started.
            VossegError: the actors cannot do any item, e.g. because the supports are bad.
        """
        if not tasks:
            return
        with connected(self._ray, self._address):
            yield from self._run(batch, TaskQueue(batch, tasks), progress, len(tasks))

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
