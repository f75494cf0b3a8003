"""Label maps of a whole sequence as one 16-bit TIFF stack, which ImageJ opens with the ids as values.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from vossegcli.io.records.atomic import atomic_path

_MOST_BYTES = (1 << 32) - (1 << 25)  # of a TIFF file that is no BigTIFF


def stack_path(output: Path, name: str) -> Path:
    """Return the path of the stack of a sequence."""
    return output / "stack" / f"{name}.tif"


def write_label_stack(
    path: Path, maps: Iterable[npt.NDArray[np.integer]], count: int, size: tuple[int, int], fps: float | None = None
) -> None:
    """Write maps of ids, a page each, with deflate; one is in memory at a time.

    Args:
        path: the file to write, atomically.
        maps: (H,W) ids 0..65535, in the order of the frames.
        count: of the maps.
        size: (H, W).
        fps: frames a second, for the frame interval that ImageJ shows; None = not known.

    Raises:
        InputError: the file cannot be written.
    """
    shape = (count, *size)
    small = 2 * count * size[0] * size[1] < _MOST_BYTES
    metadata = {"axes": "TYX", **({"finterval": 1 / fps, "fps": fps} if fps else {})}
    pages = (np.ascontiguousarray(ids, dtype=np.uint16) for ids in maps)
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=not small, imagej=small) as writer:
        writer.write(
            pages, shape=shape, dtype=np.uint16, compression="zlib", photometric="minisblack", metadata=metadata
        )
