"""Images of many queries, read ahead and put through a network some at a time. Shapes: B images, H W pixels."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.batch.command import BatchCommand, Done, Item, OptionsT, Session
from vossegcli.batch.work import Progress
from vossegcli.errors import VossegError, system_error
from vossegcli.io.media.ahead import read_ahead
from vossegcli.io.media.depth import scale_image
from vossegcli.io.media.frames import FrameReader, open_frames
from vossegcli.io.media.images import read_samples
from vossegcli.io.media.queries import Query, find_queries
from vossegcli.io.media.reading import Reading
from vossegcli.models.devices import float_images, memory_errors
from vossegcli.types import FrameSequence

#: Pictures in one pass of the network, by the kind of device. A CPU is as busy with one, and then a result does not
#: depend on what lies beside it in the batch.
BATCH = {"cuda": 8}
WINDOW = 2  # batches of pictures among which those of one size are looked for
READ_AHEAD = 4


def pictures_together(device: str) -> int:
    """Pictures among which those of one size are looked for, on a kind of device; 1 = each goes alone."""
    return BATCH[device] * WINDOW if device in BATCH else 1


class Shown(Protocol):
    """Pixels that the network is shown at once: a picture or a part of one."""

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """(H,W,3) uint8."""


R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S", bound=Shown)
ImageItemT = TypeVar("ImageItemT", bound="ImageItem")


class _Read(NamedTuple, Generic[S]):
    """The n-th picture, of a query, or the error that ended the query."""

    number: int
    query: str
    shown: S | None
    error: VossegError | None = None


class ImageBatches(Generic[S, R]):
    """Gives the pictures of queries with their results, asked for in the order of the queries.

    Args:
        predict: from 8-bit RGB images (B,3,H,W) to B results.
        read: gives the pictures of a query.
        queries: all that will be asked for.
        device: kind of device that `predict` uses.
    """

    def __init__(
        self,
        predict: Callable[[Tensor], Sequence[R]],
        read: Callable[[Query], Iterator[S]],
        queries: Sequence[Query],
        device: str,
    ) -> None:
        self._predict, self._read = predict, read
        self._size, self._window = BATCH.get(device, 1), pictures_together(device)
        self._dropped: set[str] = set()  # read no further
        self._pictures = read_ahead(self._read_all(queries), READ_AHEAD)
        self._waiting: list[_Read[S]] = []
        self._ready: dict[int, tuple[str, tuple[S, R] | VossegError]] = {}
        self._next = 0

    def close(self) -> None:
        """Stop reading."""
        self._pictures.close()

    def of(self, query: Query) -> Iterator[tuple[S, R]]:
        """Yield the pictures of a query, each with its result.

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
        self._dropped.add(query.name)
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
        batch = [picture for picture in self._waiting if _shape(picture) == _shape(self._waiting[0])][: self._size]
        taken = {picture.number for picture in batch}
        self._waiting = [picture for picture in self._waiting if picture.number not in taken]
        self._ready |= self._results(batch)
        return True

    def _results(self, batch: Sequence[_Read[S]]) -> dict[int, tuple[str, tuple[S, R] | VossegError]]:
        pictures = [one.shown for one in batch if one.shown is not None]
        if not pictures:
            return {one.number: (one.query, one.error) for one in batch if one.error is not None}
        try:
            with memory_errors(batch[0].query):
                images = [picture.image for picture in pictures]
                # One image is not copied: it may be a slide.
                stacked = images[0][None] if len(images) == 1 else np.stack(images)
                results = self._predict(torch.from_numpy(stacked).permute(0, 3, 1, 2))
        except VossegError as error:
            if len(batch) == 1:
                return {batch[0].number: (batch[0].query, error)}
            return {number: result for one in batch for number, result in self._results([one]).items()}
        return {
            one.number: (one.query, (picture, result))
            for one, picture, result in zip(batch, pictures, results, strict=True)
        }

    def _read_all(self, queries: Sequence[Query]) -> Iterator[_Read[S]]:
        count = itertools.count()
        for query in queries:
            try:
                for shown in self._read(query):
                    if query.name in self._dropped:
                        break
                    yield _Read(next(count), query.name, shown)
            except VossegError as error:
                yield _Read(next(count), query.name, None, error)
            except OSError as error:
                yield _Read(next(count), query.name, None, system_error(error, query.name))


class ImageSession(Session[ImageItemT]):
    """Has items done with the pictures that were predicted for them.

    Args:
        do: does an item with its pictures and their results.
        batches: gives them.
    """

    def __init__(self, do: Callable[[ImageItemT, Iterator[tuple[S, R]]], Done], batches: ImageBatches[S, R]) -> None:
        self._do: Callable[[ImageItemT, Iterator[Any]], Done] = do
        self._batches: ImageBatches[Any, Any] = batches

    def run(self, item: ImageItemT) -> Done:
        """Do an item; what is left of one that fails is dropped."""
        try:
            return self._do(item, self._batches.of(item.query))
        except Exception:  # of any kind, as out of memory, which only becomes a VossegError outside
            self._batches.skip(item.query)
            raise

    def close(self) -> None:
        """Stop reading."""
        self._batches.close()


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
class ImageCommand(BatchCommand[OptionsT, Query, ImageItemT, ImagePredictor[R]], Generic[OptionsT, ImageItemT, S, R]):
    """A command for images, which are read ahead and predicted some at a time."""

    @staticmethod
    def find(options: OptionsT) -> Sequence[Query]:
        """Find the images."""
        return find_queries(str(options.source), options.images_folder)

    @property
    def films(self) -> Iterator[Path]:
        """The videos and image stacks of the input."""
        return (query.path for query in self.inputs if query.is_video)

    @property
    def together(self) -> int:
        """Images that one pass of the network may share."""
        return pictures_together(self.model.device.type)

    @abstractmethod
    def read(self, query: Query) -> Iterator[S]:
        """Read the pictures of a query."""

    @abstractmethod
    def do(self, item: ImageItemT, pictures: Iterator[tuple[S, R]], progress: Progress) -> Done:
        """Do an item with its pictures and their results."""

    def session(
        self, items: Sequence[ImageItemT], predictor: ImagePredictor[R], progress: Progress
    ) -> Session[ImageItemT]:
        """Read the images ahead."""
        device, queries = self.model.device, [item.query for item in items]
        batches = ImageBatches(
            lambda pixels: predictor.predict(float_images(pixels, device)), self.read, queries, device.type
        )
        return ImageSession(partial(self.do, progress=progress), batches)


class Picture(NamedTuple):
    """One whole picture.

    Attributes:
        name: of its outputs.
        image: (H,W,3) uint8.
        note: what was interpreted while reading it, or None.
    """

    name: str
    image: npt.NDArray[np.uint8]
    note: str | None


def read_pictures(query: Query, reading: Reading) -> Iterator[Picture]:
    """Read an image, or the frames of a video or an image stack."""
    if not query.is_video:
        yield Picture(query.name, *scale_image(read_samples(query.path), reading.values))
        return
    reader = open_query(query, reading)
    for frame in reader.iterate():
        name = query.name if len(reader) == 1 else f"{query.name}/{frame.name}"
        yield Picture(name, frame.image, reader.scaling)


def open_query(query: Query, reading: Reading) -> FrameReader:
    """Open the reader of a video or an image stack."""
    return open_frames(FrameSequence(query.name, (), query.path, "video", None), reading)


def _shape(one: _Read[Any]) -> object:
    """Key that the pictures of one batch share; that of an error is its number, which none shares."""
    return one.number if one.shown is None else one.shown.image.shape
