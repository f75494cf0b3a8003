"""Images as a whole or in tiles, which are read from their files as they are needed.

Neither a tiled image nor the masks of the network are ever in memory as a whole: a tile's instances become COCO results
at once.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vossegcli.batch.image_batches import read_pictures
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.io.media.regions import Picture, open_picture
from vossegcli.runners.instance.tiles import Tile, tiles_of


class Part(NamedTuple):
    """A tile of an image, which is all of it where none are asked for.

    Attributes:
        image: (h,w,3) uint8, the pixels of the tile.
        tile: where it lies.
        whole: (H,W,3) uint8, the image, of which parts can be read.
        note: how its samples are scaled, or None.
    """

    image: npt.NDArray[np.uint8]
    tile: Tile
    whole: Picture
    note: str | None

    @property
    def size(self) -> tuple[int, int]:
        """(H,W) of the image."""
        return self.whole.shape[0], self.whole.shape[1]


def read_parts(query: Query, reading: Reading, side: int | None, overlap: int) -> Iterator[Part]:
    """Read an image; the frame of a stack that is chosen is read as a whole.

    Args:
        query: the image.
        reading: how it is read.
        side: of the tiles in pixels; None = the whole image as one.
        overlap: of neighbours in pixels, at least.

    Raises:
        InputError: it cannot be read.
    """
    whole: Picture
    if side is not None and not query.is_video:
        whole = open_picture(query.path, reading.values)
        note = whole.note
    else:
        _, whole, note = next(read_pictures(query, reading))
    height, width = whole.shape[:2]
    for tile in tiles_of((height, width), side or max(height, width), overlap):
        yield Part(whole[tile.top : tile.bottom, tile.left : tile.right], tile, whole, note)
