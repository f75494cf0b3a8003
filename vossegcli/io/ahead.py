"""Reading ahead of, and writing behind, the code in the middle: one thread each, with bounded queues."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.2


class _End:
    """Marks the end of a stream, with the error that ended it, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield items that a thread takes from an iterable, at most `depth` ahead.

    An error of the iterable is raised here, after the items before it. Closing the generator stops the thread.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | _End) -> None:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=POLL_SECONDS)
                return
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(_End(None))
        except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
            put(_End(error))

    thread = threading.Thread(target=fill, daemon=True, name="read-ahead")
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()


class WriteBehind(Generic[T]):
    """Runs write jobs in order in a thread; at most `depth` wait. Use as a context manager.

    The first error stops the writing and is raised by the next `submit` or `flush`, or at the end of the block.
    """

    def __init__(self, write: Callable[[T], None], depth: int) -> None:
        self._write = write
        self._jobs: queue.Queue[T | _End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="write-behind")

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def submit(self, job: T) -> None:
        """Queue a job; waits while the queue is full."""
        self._raise_error()
        self._jobs.put(job)

    def flush(self) -> None:
        """Wait until everything queued so far is written."""
        self._jobs.join()
        self._raise_error()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is queued and stop; an error of the block itself goes first."""
        self._jobs.put(_End(None))
        self._thread.join()
        if error is None:
            self._raise_error()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if isinstance(job, _End):
                self._jobs.task_done()
                return
            try:
                if self._error is None:
                    self._write(job)
            except BaseException as error:  # noqa: BLE001 - raised again in the submitting thread
                self._error = error
            finally:
                self._jobs.task_done()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
