"""Reading ahead of, and writing behind, the code in the middle: one thread each, with bounded queues.

Nothing here takes a lock of Python's own. Ctrl-C can strike between any two bytecodes of the main thread; a lock that
it leaves held there (`queue.Queue` has three, `threading.Thread.start` one) would stop the other thread for good.
"""

from __future__ import annotations

from _thread import start_new_thread
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
JOIN_SECONDS = 5.0  # after which a thread that is stuck in a read is left behind; it ends with the process


class _End:
    """Marks the end of a stream, with the error that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Flush:
    """Asks for word when everything before it is done."""

    def __init__(self) -> None:
        self.done: SimpleQueue[None] = SimpleQueue()


class _Channel(Generic[T]):
    """A queue between two threads that holds at most `depth` items; marks go through at any time."""

    def __init__(self, depth: int) -> None:
        self._items: SimpleQueue[T | _End | _Flush] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        self._closed = False
        for _ in range(depth):
            self._room.put(None)

    def reserve(self) -> bool:
        """Wait for room for one item; returns False once the channel is closed."""
        self._room.get()
        return not self._closed

    def put(self, item: T) -> None:
        """Add an item, for which there is room."""
        self._items.put(item)

    def mark(self, mark: _End | _Flush) -> None:
        """Add a mark, which takes no room."""
        self._items.put(mark)

    def get(self) -> T | _End | _Flush:
        """Wait for the next item or mark."""
        item = self._items.get()
        if not isinstance(item, _End | _Flush):
            self._room.put(None)
        return item

    def close(self) -> None:
        """Let `reserve` return at once from now on."""
        self._closed = True
        self._room.put(None)


class _Thread:
    """A thread that ends with the process; its start waits for nothing."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._started = False
        self._ended: SimpleQueue[None] = SimpleQueue()

    def start(self) -> None:
        """Begin the work."""
        start_new_thread(self._run, ())
        self._started = True

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end, at most so long; not for a thread whose start Ctrl-C interrupted."""
        if self._started:
            with suppress(Empty):
                self._ended.get(timeout=seconds)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._ended.put(None)


def read_ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield items that a thread takes from an iterable, at most `depth` ahead.

    An error of the iterable is raised here, after the items before it. Closing the generator ends the thread.
    """
    channel = _Channel[T](depth)
    thread = _Thread(lambda: _fill(items, channel))
    try:
        thread.start()
        while True:
            item = channel.get()
            if isinstance(item, _End):
                break
            if not isinstance(item, _Flush):
                yield item
        if item.error is not None:
            raise item.error
    finally:
        channel.close()
        thread.join(JOIN_SECONDS)


def _fill(items: Iterable[T], channel: _Channel[T]) -> None:
    end = _End()
    try:
        iterator = iter(items)
        while channel.reserve():  # before the item is made: no more of them exist than asked for
            item = next(iterator, end)
            if isinstance(item, _End):
                break
            channel.put(item)
    except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
        end = _End(error)
    channel.mark(end)


class WriteBehind(Generic[T]):
    """Runs write jobs in order in a thread; at most `depth` wait. Use as a context manager.

    The first error ends the writing; it is raised by the next `submit` or `flush`, or at the end of it.
    """

    def __init__(self, write: Callable[[T], None], depth: int) -> None:
        self._write = write
        self._jobs = _Channel[T](depth)
        self._error: BaseException | None = None
        self._thread = _Thread(self._work)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def submit(self, job: T) -> None:
        """Queue a job; waits while the queue is full."""
        self._raise_error()
        self._jobs.reserve()
        self._jobs.put(job)

    def flush(self) -> None:
        """Wait until everything queued so far is written."""
        flush = _Flush()
        self._jobs.mark(flush)
        flush.done.get()
        self._raise_error()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is queued and stop; an error of the block itself goes first."""
        self._jobs.mark(_End())
        self._thread.join()
        if error is None:
            self._raise_error()

    def _work(self) -> None:
        while not isinstance(job := self._jobs.get(), _End):
            if isinstance(job, _Flush):
                job.done.put(None)
            elif self._error is None:
                try:
                    self._write(job)
                except BaseException as error:  # noqa: BLE001 - raised again in the submitting thread
                    self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
