"""Results in the format of the Cell Tracking Challenge: a 16-bit TIFF of labels a frame, and the table of the tracks.

The format knows no gaps: a track that is not seen in a frame ends there, and a new label whose parent it is goes on.
Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.records.atomic import atomic_path, write_lines_atomic

TABLE = "res_track.txt"
MOST_LABELS = 65_535
DIGITS = 3  # of a frame's number at least


@dataclass
class _Piece:
    """Unbroken part of a track under a label of its own; a line `L B E P` of the table."""

    label: int
    begin: int
    end: int
    parent: int


def write_ctc(
    folder: Path, maps: Iterable[npt.NDArray[np.integer]], frames: int, parents: Mapping[int, int]
) -> Iterator[Path]:
    """Write `mask000.tif`, `mask001.tif`, ... and `res_track.txt`; yields the files.

    Args:
        folder: of the sequence.
        maps: ids (H,W) of the tracks in every frame, 0 = background.
        frames: their number.
        parents: track from which each of those comes that a division began.

    Raises:
        InputError: there are more labels than 16 bits hold.
    """
    digits = max(DIGITS, len(str(frames - 1)))
    pieces: list[_Piece] = []
    newest: dict[int, _Piece] = {}
    for index, ids in enumerate(maps):
        table = np.zeros(int(ids.max(initial=0)) + 1, np.uint16)
        for track in np.unique(ids[ids > 0]).tolist():
            table[track] = _label_of(track, index, pieces, newest, parents)
        path = folder / f"mask{index:0{digits}}.tif"
        with atomic_path(path) as temporary:
            Image.fromarray(table[ids]).save(temporary, format="TIFF", compression="tiff_lzw")
        yield path
    table_path = folder / TABLE
    write_lines_atomic(table_path, (f"{p.label} {p.begin} {p.end} {p.parent}\n" for p in pieces))
    yield table_path


def _label_of(
    track: int, index: int, pieces: list[_Piece], newest: dict[int, _Piece], parents: Mapping[int, int]
) -> int:
    """Return a track's label in a frame, and take down that it is there."""
    known = newest.get(track)
    if known is None or known.end < index - 1:
        if len(pieces) == MOST_LABELS:
            raise InputError(f"more than {MOST_LABELS} tracks", where=TABLE, fix="raise --score-threshold")
        before = known or newest.get(parents.get(track, 0))
        known = newest[track] = _Piece(len(pieces) + 1, index, index, before.label if before else 0)
        pieces.append(known)
    known.end = index
    return known.label
