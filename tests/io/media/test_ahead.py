"""The threads that read ahead and write behind: order, errors, and that none of them stays."""

import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from vossegcli.io.media.ahead import WriteBehind, read_ahead


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(sys._current_frames())
    yield
    deadline = time.monotonic() + 20.0
    while len(sys._current_frames()) > len(before) and time.monotonic() < deadline:
        time.sleep(0.01)  # one that was interrupted while it started ends by itself
    assert set(sys._current_frames()) == before


def test_reading_ahead_keeps_the_order() -> None:
    assert list(read_ahead(range(100), 3)) == list(range(100))


def test_a_reader_that_raises_gives_what_came_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("torn")

    taken = []
    with pytest.raises(KeyError, match="torn"):
        for item in read_ahead(items(), 5):
            taken.append(item)  # noqa: PERF402
    assert taken == [1, 2]


def test_reading_ahead_is_bounded() -> None:
    asked = []
    items = read_ahead((asked.append(i) for i in range(1000)), 3)
    next(items)
    time.sleep(0.1)
    assert len(asked) <= 1 + 3 + 1
    items.close()


def test_closing_early_ends_a_full_reader() -> None:
    items = read_ahead(iter(range(10**6)), 2)
    assert next(items) == 0
    items.close()


def test_writing_behind_keeps_the_order_and_flush_waits() -> None:
    written: list[int] = []

    def write(job: int) -> None:
        time.sleep(0.002)
        written.append(job)

    with WriteBehind[int](write, 2) as writer:
        for job in range(10):
            writer.submit(job)
        writer.flush()
        assert written == list(range(10))
        writer.submit(10)
    assert written == list(range(11))


@pytest.mark.parametrize("jobs", [1, 50])
def test_a_writer_that_raises_stops_the_caller_and_never_hangs(jobs: int) -> None:
    written = []

    def write(job: int) -> None:
        if job == 0:
            raise OSError("disk full")
        written.append(job)

    with pytest.raises(OSError, match="disk full"), WriteBehind[int](write, 2) as writer:
        for job in range(jobs):
            writer.submit(job)
        time.sleep(0.05)
    assert written == []


def test_an_error_of_the_block_goes_first_and_what_is_queued_is_written() -> None:
    written: list[int] = []
    with pytest.raises(KeyboardInterrupt), WriteBehind[int](written.append, 8) as writer:
        for job in range(5):
            writer.submit(job)
        raise KeyboardInterrupt
    assert written == [0, 1, 2, 3, 4]


@pytest.fixture
def interrupts() -> Iterator[random.Random]:
    """SIGALRM raises KeyboardInterrupt in this thread, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield random.Random(0)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("depth", [1, 3])
def test_an_interrupt_at_any_moment_leaves_no_thread_behind(interrupts: random.Random, depth: int) -> None:
    """It strikes while this thread waits for an item, takes one, gives one away or waits for room."""
    for _ in range(100):
        with (
            pytest.raises(KeyboardInterrupt),
            WriteBehind[int](lambda _: None, depth) as writer,
            closing(read_ahead(itertools.count(), depth)) as items,
        ):
            signal.setitimer(signal.ITIMER_REAL, interrupts.uniform(1e-5, 2e-3))
            for item in items:
                writer.submit(item)
                if item % 5 == 0:
                    writer.flush()


def test_an_interrupt_while_the_thread_starts_leaves_none_behind(interrupts: random.Random) -> None:
    for _ in range(1000):
        with pytest.raises(KeyboardInterrupt), closing(read_ahead(itertools.count(), 1)) as items:
            signal.setitimer(signal.ITIMER_REAL, interrupts.uniform(1e-6, 2e-4))
            for _ in items:
                pass


def test_an_interrupt_wakes_a_reader_that_waits_for_a_slow_source(interrupts: random.Random) -> None:
    asked = threading.Event()

    def slow() -> Iterator[int]:
        asked.wait(1.0)
        yield 1

    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(KeyboardInterrupt):
        for _ in read_ahead(slow(), 1):
            pass
        pytest.fail("the source gave something first")
    asked.set()
