"""Pictures of many queries, read ahead and segmented some at a time. Shapes: H W pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from vossegcli.errors import VossegError
from vossegcli.io.ahead import read_ahead
from vossegcli.io.images import read_image
from vossegcli.io.queries import Query
from vossegcli.io.video import VideoFrames
from vossegcli.runners.devices import memory_errors
from vossegcli.systems.base import ClassSegmentation, FewshotPredictor

#: Pictures in one pass of the network, by the kind of device. A CPU is as busy with one, and then a mask does not
#: depend on what lies beside it in the batch.
BATCH = {"cuda": 8}
READ_AHEAD = 4


class Segmented(NamedTuple):
    """One picture with its result: the name of its outputs, (H,W,3) uint8, and the classes found."""

    name: str
    image: npt.NDArray[np.uint8]
    found: ClassSegmentation


class _Read(NamedTuple):
    """A picture of a query, or the error that ended the query."""

    query: str
    name: str
    image: npt.NDArray[np.uint8] | None
    error: VossegError | None


class QueryBatches:
    """Gives the segmented pictures of queries, asked for in the order of the queries.

    Args:
        predictor: fitted to the classes.
        queries: all that will be asked for.
        device: kind of device of the predictor.
    """

    def __init__(self, predictor: FewshotPredictor, queries: Sequence[Query], device: str) -> None:
        self._predictor = predictor
        self._size = BATCH.get(device, 1)
        self._pictures = read_ahead(_read(queries), self._size + READ_AHEAD)
        self._waiting: deque[_Read] = deque()
        self._ready: deque[tuple[str, Segmented | VossegError]] = deque()

    def of(self, query: Query) -> Iterator[Segmented]:
        """Yield the pictures of a query.

        Raises:
            VossegError: a picture cannot be read, or the device is out of memory.
        """
        while True:
            if not self._ready and not self._fill():
                return
            name, result = self._ready[0]
            if name != query.name:
                return
            self._ready.popleft()
            if isinstance(result, VossegError):
                raise result
            yield result

    def skip(self, query: Query) -> None:
        """Drop what is left of a query that failed."""
        while self._ready or self._fill():
            if self._ready[0][0] != query.name:
                return
            self._ready.popleft()

    def _fill(self) -> bool:
        """Segment the next pictures of one size; False at the end."""
        while len(self._waiting) < self._size and (picture := next(self._pictures, None)) is not None:
            self._waiting.append(picture)
        if not self._waiting:
            return False
        batch = [self._waiting.popleft()]
        while self._waiting and _alike(batch[0], self._waiting[0]):
            batch.append(self._waiting.popleft())
        self._ready += self._segment(batch)
        return True

    def _segment(self, batch: Sequence[_Read]) -> list[tuple[str, Segmented | VossegError]]:
        images = [picture.image for picture in batch if picture.image is not None]
        if not images:
            return [(picture.query, picture.error) for picture in batch if picture.error is not None]
        try:
            with memory_errors(batch[0].name):
                pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255.0
                found = self._predictor.predict(pixels)
        except VossegError as error:
            if len(batch) == 1:
                return [(batch[0].query, error)]
            return [result for picture in batch for result in self._segment([picture])]
        return [
            (picture.query, Segmented(picture.name, image, one))
            for picture, image, one in zip(batch, images, found, strict=True)
        ]


def _read(queries: Sequence[Query]) -> Iterator[_Read]:
    for query in queries:
        try:
            if query.is_video:
                for frame in VideoFrames(query.path).iterate():
                    yield _Read(query.name, f"{query.name}/{frame.name}", frame.image, None)
            else:
                yield _Read(query.name, query.name, read_image(query.path), None)
        except VossegError as error:
            yield _Read(query.name, query.name, None, error)


def _alike(one: _Read, other: _Read) -> bool:
    return one.image is not None and other.image is not None and one.image.shape == other.image.shape
