"""Pictures in batches: sizes are not mixed, order stays, and a fault hits its own query alone."""

import errno
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import squares, write_frame
from vossegcli.batch import image_batches as query_batches
from vossegcli.batch.command import Done
from vossegcli.batch.image_batches import ImageBatches, ImageItem, ImageSession, Picture, read_pictures
from vossegcli.errors import DeviceError, InputError
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.systems.base import ClassSegmentation


class Predictor:
    """Remembers the sizes of its batches; runs out of memory beyond some pictures."""

    def __init__(self, most: int = 99) -> None:
        self.most = most
        self.seen: list[tuple[int, int]] = []

    def over(self, queries: list[Query]) -> ImageBatches[Picture, ClassSegmentation]:
        return ImageBatches(self.predict, partial(read_pictures, reading=Reading()), queries, "cpu")

    def predict(self, images: Tensor) -> list[ClassSegmentation]:
        if len(images) > self.most:
            raise MemoryError
        self.seen.append((len(images), images.shape[3]))
        empty = torch.zeros(images.shape[2:], dtype=torch.int32)
        return [ClassSegmentation(empty, image.float().mean().view(1, 1, 1) / 255.0, torch.ones(1)) for image in images]


@pytest.fixture
def queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Query]:
    """Three pictures, one that is wider, one that is none, and two more."""
    monkeypatch.setitem(query_batches.BATCH, "cpu", 3)
    for number in range(7):
        width = 80 if number == 3 else 64
        write_frame(tmp_path / f"{number}.png", squares(number, (1,), width=width))
    (tmp_path / "4.png").write_bytes(b"no picture")
    return [Query(str(number), tmp_path / f"{number}.png", is_video=False) for number in range(7)]


def test_pictures_of_one_size_are_segmented_together(queries: list[Query]) -> None:
    predictor = Predictor()
    batches = predictor.over(queries)
    for query in queries:
        if query.name == "4":
            with pytest.raises(InputError, match=r"4\.png"):
                list(batches.of(query))
            batches.skip(query)
        else:
            ((picture, found),) = batches.of(query)
            assert picture.name == query.name
            mean = torch.from_numpy(picture.image).float().mean() / 255.0
            assert float(found.probs) == pytest.approx(float(mean), abs=1e-5), "its own picture"
    assert predictor.seen == [(3, 64), (1, 80), (2, 64)]


def test_a_batch_that_does_not_fit_is_done_one_by_one(queries: list[Query]) -> None:
    predictor = Predictor(most=1)
    batches = predictor.over(queries[:3])
    assert [picture.name for query in queries[:3] for picture, _ in batches.of(query)] == ["0", "1", "2"]
    assert predictor.seen == [(1, 64)] * 3
    batches = Predictor(most=0).over(queries[:2])
    for query in queries[:2]:
        with pytest.raises(DeviceError, match=query.name):
            list(batches.of(query))


def test_what_is_left_of_a_failed_query_is_dropped(queries: list[Query]) -> None:
    batches = Predictor().over(queries[:3])
    batches.skip(queries[0])
    assert [picture.name for picture, _ in batches.of(queries[1])] == ["1"]
    assert not list(batches.of(queries[0]))


def test_what_is_left_of_an_item_that_runs_out_of_memory_is_dropped(queries: list[Query], tmp_path: Path) -> None:
    """Another query's pictures would be taken for the next one's, which would be done with none."""

    def read(query: Query) -> Iterator[Picture]:
        for number in range(3):
            yield Picture(f"{query.name}/{number}", np.zeros((4, 4, 3), np.uint8), None)

    def do(item: ImageItem, pictures: Iterator[tuple[Picture, ClassSegmentation]]) -> Done:
        for number, _ in enumerate(pictures):
            if item.name == "0" and number == 0:
                raise MemoryError
        return Done(number + 1, [])

    session = ImageSession(do, ImageBatches(Predictor().predict, read, queries[:3], "cpu"))
    items = [ImageItem(name=q.name, frames=3, key="", output=tmp_path, query=q) for q in queries[:3]]
    with closing(session):
        with pytest.raises(MemoryError):
            session.run(items[0])
        assert [session.run(item).frames for item in items[1:]] == [3, 3]


def test_a_disk_that_fails_hits_its_own_query_alone(queries: list[Query]) -> None:
    def read(query: Query) -> Iterator[Picture]:
        if query.name == "0":
            raise OSError(errno.EIO, "Input/output error", "0.png")
        yield Picture(query.name, np.zeros((4, 4, 3), np.uint8), None)

    with closing(ImageBatches(Predictor().predict, read, queries[:2], "cpu")) as batches:
        with pytest.raises(InputError, match=r"0\.png: cannot be read"):
            list(batches.of(queries[0]))
        assert [picture.name for picture, _ in batches.of(queries[1])] == ["1"]


def test_pictures_of_sizes_that_alternate_are_still_segmented_together(tmp_path: Path, queries: list[Query]) -> None:
    for number in (1, 4):
        write_frame(tmp_path / f"{number}.png", squares(number, (1,), width=80))
    predictor = Predictor()
    with closing(predictor.over(queries[:6])) as batches:
        names = [picture.name for query in queries[:6] for picture, _ in batches.of(query)]
    assert names == ["0", "1", "2", "3", "4", "5"]
    assert predictor.seen == [(3, 64), (3, 80)]


def test_leaving_early_ends_the_reading(queries: list[Query], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_batches, "READ_AHEAD", 1)
    monkeypatch.setattr(query_batches, "WINDOW", 1)
    before = set(sys._current_frames())
    with closing(Predictor().over(queries)) as batches:
        next(batches.of(queries[0]))
        (thread,) = set(sys._current_frames()) - before  # it waits for room
    deadline = time.monotonic() + 60.0  # a busy machine may take long over the picture that is being read
    while thread in sys._current_frames() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert thread not in sys._current_frames()
