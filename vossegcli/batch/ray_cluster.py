"""Actors on a Ray cluster. Paths go to them and masks into the shared output folder; no frame passes through Ray."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from vossegcli.batch.threads import SPIN
from vossegcli.batch.work import STRIKES, JobQueue, Message, Progress, Worker, receive, serve
from vossegcli.errors import ConfigError, DeviceError

KNOCK_SECONDS = 10.0

J = TypeVar("J")
R = TypeVar("R")


def import_ray() -> Any:  # noqa: ANN401 - only half of it has types
    """Import the package, which then sends no statistics of its use.

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
    except Exception as error:  # noqa: BLE001 - Ray raises just that where a node does not start
        reason = str(error).splitlines()[0]
        fix = "start it with `ray start --head`, or give another --address; with tokens, set RAY_AUTH_MODE=token"
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


class RayCluster:
    """Spreads jobs over actors: one a GPU, a machine or a core, or so many as are asked for.

    Every machine needs this package, and must see inputs and outputs under the same paths.

    Args:
        count: of the actors; None = one a GPU, one a machine where there are no GPUs, or one a core for work without
            a device.
        address: of the cluster's head, or `auto`; None = a cluster of this machine alone, for this run.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, count: int | None, address: str | None) -> None:
        self._ray = import_ray()
        self._count = count
        self._address = address

    def run(self, worker: Worker[J, R], jobs: Sequence[J], progress: Progress) -> Iterator[R]:
        """Yield the results as they come, in any order.

        Raises:
            DeviceError: there is no such cluster, or its actors cannot be started.
            VossegError: the actors cannot do any job, e.g. because the supports are bad.
        """
        if not jobs:
            return
        with connected(self._ray, self._address):
            needs, count = self._shares(worker.device)
            actors = _Actors(self._ray, worker, JobQueue(worker, jobs), needs, min(count, len(jobs)))
            while actors.busy:
                for message in actors.next_messages():
                    yield from receive(message, progress)

    def _shares(self, device: str | None) -> tuple[dict[str, float], int]:
        """Say what one actor asks of the cluster, and how many there are."""
        total = self._ray.cluster_resources()
        cpus, gpus = total.get("CPU", 1.0), int(total.get("GPU", 0))
        if device is None:
            return {"num_cpus": 1}, self._count or max(1, int(cpus))
        if device.startswith("cuda") and gpus:
            count = self._count or gpus
            return {"num_gpus": min(1.0, gpus / count), "num_cpus": 1}, count
        machines = sum(bool(node["Alive"]) for node in self._ray.nodes())
        count = self._count or machines
        return {"num_cpus": max(1, int(cpus // count))}, count


class _Actors:
    """The actors that work on one queue.

    Attributes:
        busy: what each call that is under way will give, with its actor and the jobs that it does.
    """

    def __init__(
        self, ray: Any, worker: Worker[Any, Any], queue: JobQueue[Any, Any], needs: dict[str, float], count: int  # noqa: ANN401
    ) -> None:  # fmt: skip
        self._ray, self._queue, self._count = ray, queue, count
        environment = {"env_vars": dict(SPIN)}  # before the actors load torch
        actor = ray.remote(max_restarts=0, max_task_retries=0, runtime_env=environment, **needs)
        self._actor = actor(_Actor)  # we start anew and try again
        self._shared = ray.put(worker)
        self._early_deaths = 0
        self.busy: dict[Any, tuple[Any, list[tuple[int, Any]]]] = {}
        for _ in range(count):
            self._start_one()

    def next_messages(self) -> list[Message]:
        """Wait for an actor, and hand out the next jobs; return what it says (see `work.serve`)."""
        (ended,), _ = self._ray.wait(list(self.busy), num_returns=1)
        actor, jobs = self.busy.pop(ended)
        errors = self._ray.exceptions
        try:
            messages: list[Message] = self._ray.get(ended)
        except errors.RayTaskError:  # a bug, not a death
            raise
        except errors.RayError as error:
            return self._replace(jobs, error)
        self._early_deaths = 0
        self._hand_out(actor)
        return messages

    def _start_one(self) -> None:
        actor = self._actor.remote(self._shared)
        self.busy[actor.greet.remote()] = (actor, [])

    def _hand_out(self, actor: Any) -> None:  # noqa: ANN401
        jobs = self._queue.take()
        if jobs:
            self.busy[actor.run.remote(jobs)] = (actor, jobs)

    def _replace(self, jobs: list[tuple[int, Any]], error: Exception) -> list[Message]:
        """Start an actor in the place of one that died; the result of a job that has cost too many is a message."""
        cause = type(error).__name__
        self._early_deaths += not jobs
        if self._early_deaths >= STRIKES * self._count:
            raise DeviceError(f"actors die before they begin ({cause})", fix="see Ray's own logs") from error
        results = self._queue.lost(jobs, cause)
        if self._queue:
            self._start_one()
        return [("result", result) for result in results]


class _Actor:
    """Does jobs on some machine of the cluster; the network is loaded once."""

    def __init__(self, worker: Worker[Any, Any]) -> None:
        import ray

        context: Any = ray.get_runtime_context()
        worker.share(max(1, int(context.get_assigned_resources().get("CPU", 1))))
        self._worker = worker

    def greet(self) -> list[Message]:
        """Say that it has begun."""
        return []

    def run(self, jobs: list[tuple[int, Any]]) -> list[Message]:
        """Do jobs; what there is to say of them is said at once, at their end."""
        messages: list[Message] = []
        serve(self._worker, jobs, messages.append)
        return messages
