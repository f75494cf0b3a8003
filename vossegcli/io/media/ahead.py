"""Reading ahead of, and writing behind, the code in the middle: one thread each, with bounded queues."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.2


class _End:
    """Marks the end of a stream, with the error that ended it, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield items that a thread takes from an iterable, at most `depth` ahead.

    An error of the iterable is raised here, after the items before it. Closing the generator ends the thread.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, waiting, stopped), daemon=True, name="read-ahead")
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


def _fill(items: Iterable[T], waiting: queue.Queue[T | _End], stopped: threading.Event) -> None:
    end = _End(None)
    try:
        for item in items:
            _put(item, waiting, stopped)
            if stopped.is_set():
                return
    except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
        end = _End(error)
    _put(end, waiting, stopped)


def _put(item: T | _End, waiting: queue.Queue[T | _End], stopped: threading.Event) -> None:
    """Wait for room, unless nobody will take the item any more."""
    while not stopped.is_set():
        with suppress(queue.Full):
            waiting.put(item, timeout=POLL_SECONDS)
            return


class WriteBehind(Generic[T]):
    """Runs write jobs in order in a thread; at most `depth` wait. Use as a context manager.

    The first error ends the writing; it is raised by the next `submit` or `flush`, or at the end of it.
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
