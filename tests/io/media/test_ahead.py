"""The threads that read ahead and write behind: order, errors, and that none of them stays."""

import threading
import time
from collections.abc import Iterator

import pytest

from vossegcli.io.media.ahead import WriteBehind, read_ahead


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


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
