"""The display matrix of a video: how its frames are turned and flipped before they are shown.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from av.buffer import Buffer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from vossegcli.errors import InputError

_ONE = 1 << 16
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Turn:
    """A quarter turn, a flip, or both.

    Attributes:
        transposed: rows become columns, first of all.
        left_right: then columns are reversed.
        up_down: then rows are reversed.
    """

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The size (H, W) after it."""
        return (width, height) if self.transposed else (height, width)

    def applied(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn an image (H,W,3)."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.left_right:
            image = image[:, ::-1]
        if self.up_down:
            image = image[::-1]
        return np.ascontiguousarray(image)


def turn_of(frame: VideoFrame, path: Path) -> Turn:
    """Find how a frame is to be turned; by nothing where its file does not say.

    Raises:
        InputError: by something else than quarter turns and flips.
    """
    side_data = cast("Mapping[Type, Buffer]", frame.side_data)  # PyAV's stub knows another type
    if Type.DISPLAYMATRIX not in side_data:
        return Turn()
    fixed = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)
    a, b, _, c, d = (int(value) / _ONE for value in fixed[:5])  # x' = a x + c y, y' = b x + d y
    if not any((a, b, c, d)):
        return Turn()
    straight = _are_units(a, d) and not (b or c)
    if not straight and not (_are_units(b, c) and not (a or d)):
        raise InputError(
            f"is to be shown turned or stretched by the matrix {a:g} {b:g} {c:g} {d:g}, which is no quarter turn",
            where=path,
            fix="encode the video again with ffmpeg, which applies the matrix",
        )
    return Turn(left_right=a < 0, up_down=d < 0) if straight else Turn(transposed=True, left_right=c < 0, up_down=b < 0)


def _are_units(one: float, other: float) -> bool:
    return all(abs(abs(value) - 1) < _TOLERANCE for value in (one, other))
