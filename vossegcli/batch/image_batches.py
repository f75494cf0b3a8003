"""Images of many queries, read ahead and put through a network some at a time. Shapes: B images, H W pixels."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.batch.command import BatchCommand, Done, Item, OptionsT, Session
from vossegcli.batch.work import Progress
from vossegcli.errors import VossegError
from vossegcli.io.media.ahead import read_ahead
from vossegcli.io.media.depth import scale_image
from vossegcli.io.media.frames import FrameReader, open_frames
from vossegcli.io.media.images import read_samples
from vossegcli.io.media.limits import scaling_notes
from vossegcli.io.media.queries import Query, find_queries
from vossegcli.io.media.reading import Reading
from vossegcli.models.devices import float_images, memory_errors
from vossegcli.types import FrameSequence

#: Pictures in one pass of the network, by the kind of device. A CPU is as busy with one, and then a result does not
#: depend on what lies beside it in the batch.
BATCH = {"cuda": 8}
WINDOW = 2  # batches of pictures among which those of one size are looked for
READ_AHEAD = 4

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
ImageItemT = TypeVar("ImageItemT", bound="ImageItem")


def pictures_together(device: str) -> int:
    """Pictures among which those of one size are looked for, on a kind of device; 1 = each goes alone."""
    return BATCH[device] * WINDOW if device in BATCH else 1


@dataclass(frozen=True)
class Predicted(Generic[R]):
    """One picture with its result.

    Attributes:
        name: of its outputs.
        image: (H,W,3) uint8.
        found: what the network makes of it.
        note: what was interpreted while reading it, or None.
    """

    name: str
    image: npt.NDArray[np.uint8]
    found: R
    note: str | None = None


class _Read(NamedTuple):
    """The n-th picture, of a query, or the error that ended the query."""

    number: int
    query: str
    name: str
    image: npt.NDArray[np.uint8] | None
    error: VossegError | None
    note: str | None = None


class ImageBatches(Generic[R]):
    """Gives the pictures of queries with their results, asked for in the order of the queries.

    Args:
        predict: from 8-bit RGB images (B,3,H,W) to B results.
        queries: all that will be asked for.
        device: kind of device that `predict` uses.
        reading: how they are read.
    """

    def __init__(
        self,
        predict: Callable[[Tensor], Sequence[R]],
        queries: Sequence[Query],
        device: str,
        reading: Reading | None = None,
    ) -> None:
        self._predict = predict
        self._size, self._window = BATCH.get(device, 1), pictures_together(device)
        self._pictures = read_ahead(_read(queries, reading or Reading()), READ_AHEAD)
        self._waiting: list[_Read] = []
        self._ready: dict[int, tuple[str, Predicted[R] | VossegError]] = {}
        self._next = 0

    def close(self) -> None:
        """Stop reading."""
        self._pictures.close()

    def of(self, query: Query) -> Iterator[Predicted[R]]:
        """Yield the pictures of a query.

        Raises:
            VossegError: a picture cannot be read, or the device is out of memory.
        """
        while self._belongs(query):
            _, result = self._ready.pop(self._next)
            self._next += 1
            if isinstance(result, VossegError):
                raise result
            yield result

    def skip(self, query: Query) -> None:
        """Drop what is left of a query that failed."""
        while self._belongs(query):
            del self._ready[self._next]
            self._next += 1

    def _belongs(self, query: Query) -> bool:
        """Say whether the next picture is one of a query; its result is ready then."""
        while self._next not in self._ready:
            if not self._fill():
                return False
        return self._ready[self._next][0] == query.name

    def _fill(self) -> bool:
        """Predict the next picture and those of its size that are near; False at the end."""
        while len(self._waiting) < self._window and (picture := next(self._pictures, None)) is not None:
            self._waiting.append(picture)
        if not self._waiting:
            return False
        batch = [picture for picture in self._waiting if _alike(picture, self._waiting[0])][: self._size]
        taken = {picture.number for picture in batch}
        self._waiting = [picture for picture in self._waiting if picture.number not in taken]
        self._ready |= self._results(batch)
        return True

    def _results(self, batch: Sequence[_Read]) -> dict[int, tuple[str, Predicted[R] | VossegError]]:
        images = [picture.image for picture in batch if picture.image is not None]
        if not images:
            return {picture.number: (picture.query, picture.error) for picture in batch if picture.error is not None}
        try:
            with memory_errors(batch[0].name):
                # One image is not copied: it may be a slide.
                stacked = images[0][None] if len(images) == 1 else np.stack(images)
                pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2)
                found = self._predict(pixels)
        except VossegError as error:
            if len(batch) == 1:
                return {batch[0].number: (batch[0].query, error)}
            return {number: result for picture in batch for number, result in self._results([picture]).items()}
        return {
            picture.number: (picture.query, Predicted(picture.name, image, one, picture.note))
            for picture, image, one in zip(batch, images, found, strict=True)
        }


@dataclass(frozen=True, kw_only=True)
class ImageItem(Item):
    """An image, or a video whose frames are the images.

    Attributes:
        query: where it is.
    """

    query: Query


class ImagePredictor(Protocol[R_co]):
    """From images (B,3,H,W), float RGB in [0, 1], to B results."""

    def predict(self, images: Tensor) -> Sequence[R_co]:
        """Predict."""


@dataclass(frozen=True)
class ImageCommand(BatchCommand[OptionsT, Query, ImageItemT, ImagePredictor[R]]):
    """A command for images, which are read ahead and predicted some at a time."""

    @staticmethod
    def find(options: OptionsT) -> Sequence[Query]:
        """Find the images."""
        return find_queries(str(options.source), options.images_folder)

    @property
    def together(self) -> int:
        """Images that one pass of the network may share."""
        return pictures_together(self.model.device.type)

    @abstractmethod
    def write(self, item: ImageItemT, picture: Predicted[R]) -> Iterator[Path]:
        """Write what was asked for of one image; yields the files."""

    def predict(self, predictor: ImagePredictor[R], pixels: Tensor) -> Sequence[R]:
        """Predict 8-bit images (B,3,H,W)."""
        return predictor.predict(float_images(pixels, self.model.device))

    def notes(self, shape: Sequence[int]) -> tuple[str, ...]:
        """Notes on the pictures that are written of an image (H,W,3)."""
        return scaling_notes(shape, images="overlay" in self.options.save, video=False)

    def session(
        self, items: Sequence[ImageItemT], predictor: ImagePredictor[R], progress: Progress
    ) -> Session[ImageItemT]:
        """Read the images ahead."""
        predict = partial(self.predict, predictor)
        queries = [item.query for item in items]
        batches = ImageBatches(predict, queries, self.model.device.type, self.options.reading)
        return _ImageSession(self, batches, progress)


class _ImageSession(Session[ImageItemT]):
    """Predicts the images of items and has the results written."""

    def __init__(
        self, command: ImageCommand[Any, ImageItemT, Any], batches: ImageBatches[Any], progress: Progress
    ) -> None:
        self._command, self._batches, self._progress = command, batches, progress

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading."""
        self._batches.close()

    def run(self, item: ImageItemT) -> Done:
        """Predict and write the images of an item."""
        outputs: list[Path] = []
        notes: dict[str, None] = {}
        done = 0
        try:
            for picture in self._batches.of(item.query):
                outputs += self._command.write(item, picture)
                notes |= dict.fromkeys(self._command.notes(picture.image.shape))
                notes |= {} if picture.note is None else {picture.note: None}
                done += 1
                self._progress.frame()
        except VossegError:
            self._batches.skip(item.query)
            raise
        return Done(done, outputs, tuple(notes))


def open_query(query: Query, reading: Reading) -> FrameReader:
    """Open the reader of a video or an image stack."""
    return open_frames(FrameSequence(query.name, (), query.path, "video", None), reading)


def _read(queries: Sequence[Query], reading: Reading) -> Iterator[_Read]:
    count = itertools.count()
    for query in queries:
        try:
            for name, image, note in _pictures(query, reading):
                yield _Read(next(count), query.name, name, image, None, note)
        except VossegError as error:
            yield _Read(next(count), query.name, query.name, None, error)


def _pictures(query: Query, reading: Reading) -> Iterator[tuple[str, npt.NDArray[np.uint8], str | None]]:
    if not query.is_video:
        yield query.name, *scale_image(read_samples(query.path), reading.values)
        return
    reader = open_query(query, reading)
    for frame in reader.iterate():
        name = query.name if len(reader) == 1 else f"{query.name}/{frame.name}"
        yield name, frame.image, reader.scaling


def _alike(one: _Read, other: _Read) -> bool:
    if one.image is None or other.image is None:
        return one.number == other.number
    return one.image.shape == other.image.shape
