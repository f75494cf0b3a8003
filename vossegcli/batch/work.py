"""Work that is spread: jobs in a queue, a worker that does them, and executors, which have them done somewhere.

Nothing here imports torch, so that evaluation can do without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from vossegcli.errors import VossegError, memory_error
from vossegcli.types import ItemResult

STRIKES = 3  # processes that a job may cost

J = TypeVar("J")
R = TypeVar("R")
Message = tuple[str, Any]  # `result`, `error`, or a method of `Progress`; and its value or arguments


class Progress:
    """Told how an item goes; keeps it to itself, other kinds pass it on."""

    def item(self, name: str) -> None:
        """Begin an item."""

    def done_before(self, frames: int) -> None:
        """Learn that a run before this one did some of the item's frames."""

    def frame(self) -> None:
        """Count a frame that is done."""


class RunProgress(Progress):
    """Told how a run goes, and each of its items."""

    def begin(self, items: int, frames: int) -> None:
        """Learn how much there is to do."""

    def result(self, result: ItemResult) -> None:
        """Learn how an item ended."""


class Worker(ABC, Generic[J, R]):
    """Does jobs. A copy of it goes to every process that helps.

    Attributes:
        together: jobs that are handed out at a time.
        few: with fewer jobs, other processes take longer to start than to work.
        device: kind of device that one process needs for itself; None = a core is enough.
    """

    together: int = 1
    few: int = 0
    device: str | None = None

    def share(self, cores: int) -> None:  # noqa: B027 - not every worker has threads
        """Use so many cores of the machine, one process of several."""

    @abstractmethod
    def run(self, jobs: Sequence[J], progress: Progress) -> Iterator[R]:
        """Yield the result of each job, in their order.

        Raises:
            VossegError: no job can be done at all.
        """

    def retry(self, job: J) -> J:
        """Make the job for another try, after the process that was at it has died."""
        return job

    @abstractmethod
    def lost(self, job: J, reason: str) -> R:
        """Give the result of a job that has cost too many processes.

        Raises:
            VossegError: the work cannot go on without it.
        """


class Executor(Protocol):
    """Has jobs done somewhere."""

    def run(self, worker: Worker[J, R], jobs: Sequence[J], progress: Progress) -> Iterator[R]:
        """Yield the results as they come, in any order."""


class Here:
    """Does one job after the other, in this process."""

    def run(self, worker: Worker[J, R], jobs: Sequence[J], progress: Progress) -> Iterator[R]:
        """Yield the results in the order of the jobs."""
        if jobs:
            yield from worker.run(jobs, progress)


class JobQueue(Generic[J, R]):
    """Hands jobs out, and takes back what a process that died has left.

    Args:
        worker: that does them.
        jobs: in their order.
    """

    def __init__(self, worker: Worker[J, R], jobs: Sequence[J]) -> None:
        self._worker = worker
        self._waiting = deque(enumerate(jobs))
        self._alone: deque[tuple[int, J]] = deque()  # under suspicion: each goes out by itself
        self._strikes: Counter[int] = Counter()

    def __bool__(self) -> bool:
        """Say whether something is waiting."""
        return bool(self._waiting or self._alone)

    def take(self) -> list[tuple[int, J]]:
        """Hand out the next jobs for one process, each with its number; none where nothing is waiting."""
        if self._alone:
            return [self._alone.popleft()]
        count = min(self._worker.together, len(self._waiting))
        return [self._waiting.popleft() for _ in range(count)]

    def lost(self, jobs: Sequence[tuple[int, J]], reason: str) -> list[R]:
        """Take back the jobs that a process had not done when it died; it was busy with the first.

        Args:
            jobs: as they were handed out; may be empty.
            reason: for the death, e.g. `SIGKILL`.

        Returns:
            the result of the first job if it has cost too many processes, else nothing: it will be done again.
        """
        if not jobs:
            return []
        (number, first), *others = ((number, self._worker.retry(job)) for number, job in jobs)
        self._waiting.extendleft(reversed(others))
        self._strikes[number] += 1
        if self._strikes[number] >= STRIKES:
            return [self._worker.lost(first, reason)]
        self._alone.append((number, first))
        return []


class Reporter(Progress):
    """Sends what a worker tells its `Progress` to another process."""

    def __init__(self, send: Callable[[Message], object]) -> None:
        self._send = send

    def item(self, name: str) -> None:
        """Begin an item."""
        self._send(("item", (name,)))

    def done_before(self, frames: int) -> None:
        """Learn that a run before this one did some of the item's frames."""
        self._send(("done_before", (frames,)))

    def frame(self) -> None:
        """Count a frame that is done."""
        self._send(("frame", ()))


def serve(worker: Worker[Any, Any], jobs: Sequence[tuple[int, Any]], send: Callable[[Message], object]) -> None:
    """Do jobs for another process, and send it the results, the progress, or the error that ends everything."""
    try:
        for result in worker.run([job for _, job in jobs], Reporter(send)):
            send(("result", result))
    except VossegError as error:
        send(("error", error))
    except Exception as error:
        lacking = memory_error(error)
        if lacking is None:
            raise
        send(("error", lacking))


def receive(message: Message, progress: Progress) -> list[Any]:
    """Take a message of `serve`: return a result as a list of one, pass on progress, raise an error."""
    kind, value = message
    if kind == "error":
        raise value
    if kind == "result":
        return [value]
    getattr(progress, kind)(*value)
    return []
