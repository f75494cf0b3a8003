"""Frames that are encoded ahead, with half of the threads.

Covers: runners.propagate.encoding
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import Clip, Told, read_ids
from vossegcli.runners.propagate.encoding import encoded_ahead
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class _Predictor(SimpleNamespace):
    """Encodes a frame as its number, that of the frame before, the thread and its share of the threads."""

    device = torch.device("cpu")

    def encode(self, frame: Tensor, before: Any = None) -> tuple[int, int | None, str, int]:
        last = None if before is None else before[0]
        return int(frame), last, threading.current_thread().name, torch.get_num_threads()

    def prepare(self, frame: Any) -> None:
        self.prepared.append((frame[0], threading.current_thread().name))


def _frames(closed: list[bool], broken: int | None = None) -> Generator[tuple[str, Tensor], None, None]:
    try:
        for number in range(5):
            if number == broken:
                raise ValueError("broken frame")
            yield str(number), torch.tensor(number)
    finally:
        closed.append(True)


@pytest.mark.parametrize(("total", "here", "there"), [(2, 1, 1), (5, 3, 2)])
def test_frames_are_encoded_in_another_thread(
    threads: Callable[[int], None], total: int, here: int, there: int
) -> None:
    threads(total)
    closed: list[bool] = []
    predictor = _Predictor(prepared=[])
    with closing(encoded_ahead(_frames(closed), predictor)) as found:
        name, first = next(found)
        assert (name, first[:2]) == ("0", (0, None))
        assert first[2] != threading.current_thread().name
        assert (torch.get_num_threads(), first[3]) == (here, there)
        assert [encoded[:2] for _, encoded in found] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert predictor.prepared == [(number, first[2]) for number in range(5)]
    assert torch.get_num_threads() == total
    assert closed


def test_an_early_end_closes_the_frames(threads: Callable[[int], None]) -> None:
    threads(2)
    closed: list[bool] = []
    found = encoded_ahead(_frames(closed), _Predictor(prepared=[]))
    next(found)
    found.close()
    del found
    assert closed
    assert torch.get_num_threads() == 2


def test_an_error_of_the_frames_comes_after_those_before_it(threads: Callable[[int], None]) -> None:
    threads(2)
    seen = []
    with pytest.raises(ValueError, match="broken frame"):
        seen.extend(name for name, _ in encoded_ahead(_frames([], broken=3), _Predictor(prepared=[])))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("total", "device"), [(1, "cpu"), (4, "meta")])
def test_one_thread_or_another_device_takes_frames_as_they_are(
    threads: Callable[[int], None], total: int, device: str
) -> None:
    threads(total)
    found = list(encoded_ahead(_frames([]), _Predictor(device=torch.device(device))))
    assert [int(frame) for _, frame in found] == [0, 1, 2, 3, 4]


def test_masks_are_the_same(threads: Callable[[int], None], checkpoint: Path, clip: Clip, tmp_path: Path) -> None:
    found = []
    for count in (1, 2):
        threads(count)
        output = tmp_path / str(count)
        options = PropagateOptions(
            frames=clip.frames, mask=clip.mask, output=output, checkpoint=str(checkpoint), device="cpu"
        )
        propagate(options, Told())
        masks = [read_ids(path).tolist() for path in sorted(output.rglob("*.png"))]
        found.append((masks, (output / "confidence.csv").read_text()))
    assert len(found[0][0]) == len(clip.names)
    assert found[0] == found[1]
