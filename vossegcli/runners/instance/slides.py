"""Images in tiles, read from their files as they are needed and put through the network some together.

Neither the image nor the masks of the network are ever in memory as a whole: a tile's instances become COCO results at
once.

Shapes: B tiles, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.batch.command import Done, Session
from vossegcli.batch.image_batches import BATCH, ImageItem, open_query
from vossegcli.batch.work import Progress
from vossegcli.errors import InputError, VossegError
from vossegcli.io.media.ahead import read_ahead
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.io.media.regions import Picture, open_picture
from vossegcli.models.devices import memory_errors
from vossegcli.runners.instance.tiles import Tile, merge_over_seams, tiles_of
from vossegcli.systems.base import Instances

Row = dict[str, Any]
TILES_AHEAD = 2  # batches


@dataclass(frozen=True)
class Tiling:
    """Sizes of tiles in pixels.

    Attributes:
        side: of a tile.
        overlap: of neighbours, at least.
    """

    side: int
    overlap: int


@dataclass(frozen=True)
class Slide:
    """An image of which parts are read.

    Attributes:
        picture: (H,W,3) uint8.
        note: how its samples are scaled, or None.
    """

    picture: Picture
    note: str | None

    @property
    def size(self) -> tuple[int, int]:
        """(H,W)."""
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True)
class _Part:
    """A tile of a slide, the end of it, or the error that ends it."""

    item: str
    slide: Slide | None
    tile: Tile | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    error: VossegError | None = None


ItemT = TypeVar("ItemT", bound=ImageItem)


@dataclass(frozen=True)
class SlideWork(Generic[ItemT]):
    """From tiles to files.

    Attributes:
        predict: finds the instances of tiles (B,3,H,W) uint8.
        tiling: their sizes.
        device: kind of device that it uses.
        to_rows: turns an item, what was found in a tile, the tile and the image's size into COCO results.
        write: writes the results of an item; gives what was done.
    """

    predict: Callable[[Tensor], Sequence[Instances]]
    tiling: Tiling
    device: str
    to_rows: Callable[[ItemT, Instances, Tile, tuple[int, int]], list[Row]]
    write: Callable[[ItemT, Slide, Sequence[Row]], Done]


class SlideSession(Session[ItemT]):
    """Finds the instances of images in tiles, in the order in which the images were announced.

    Args:
        work: what is done with their tiles.
        items: the images.
        reading: how they are read.
        progress: told about each image.
    """

    def __init__(self, work: SlideWork[ItemT], items: Sequence[ItemT], reading: Reading, progress: Progress) -> None:
        self._work, self._reading, self._progress = work, reading, progress
        self._together = BATCH.get(work.device, 1)
        self._failed: set[str] = set()  # read no further
        self._parts = read_ahead(self._read(items), TILES_AHEAD * self._together)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading."""
        self._parts.close()

    def run(self, item: ItemT) -> Done:
        """Find and write the instances of an image.

        Raises:
            VossegError: it cannot be read or written, or the device is out of memory.
        """
        rows: list[list[Row]] = []
        tiles: list[Tile] = []
        waiting: list[_Part] = []
        for part in self._parts:
            if part.item != item.name:
                continue  # what is left of one that failed
            if part.error is not None:
                raise part.error
            if part.tile is not None:
                waiting.append(part)
                tiles.append(part.tile)
            if waiting and (part.tile is None or len(waiting) == self._together):
                rows += self._predicted(item, waiting)
                waiting = []
            if part.tile is None and part.slide is not None:
                done = self._work.write(item, part.slide, rows[0] if len(rows) == 1 else merge_over_seams(rows, tiles))
                self._progress.frame()
                return done
        raise InputError("was not read", where=item.query.path, fix="run the command again")

    def _predicted(self, item: ItemT, parts: Sequence[_Part]) -> list[list[Row]]:
        """COCO results of tiles, all of one size."""
        pixels = np.stack([part.pixels for part in parts if part.pixels is not None])
        try:
            with memory_errors(item.name):
                found = self._work.predict(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        except VossegError:
            self._failed.add(item.name)
            raise
        return [
            self._work.to_rows(item, one, part.tile, part.slide.size)
            for part, one in zip(parts, found, strict=True)
            if part.tile is not None and part.slide is not None
        ]

    def _read(self, items: Sequence[ItemT]) -> Iterator[_Part]:
        tiling = self._work.tiling
        for item in items:
            try:
                slide = open_slide(item.query, self._reading)
                for tile in tiles_of(slide.size, tiling.side, tiling.overlap):
                    if item.name in self._failed:
                        break
                    pixels = slide.picture[tile.top : tile.bottom, tile.left : tile.right]
                    yield _Part(item.name, slide, tile, pixels)
                yield _Part(item.name, slide)
            except VossegError as error:
                yield _Part(item.name, None, error=error)


def open_slide(query: Query, reading: Reading) -> Slide:
    """Open an image to read parts of it; the frame of a stack that is chosen is read as a whole.

    Raises:
        InputError: it cannot be read.
    """
    if not query.is_video:
        picture = open_picture(query.path, reading.values)
        return Slide(picture, picture.note)
    reader = open_query(query, reading)
    frame = next(iter(reader.iterate()))
    return Slide(frame.image, reader.scaling)
