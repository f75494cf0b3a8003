"""Video frames of more than 8 bits: the depth of the pixel format, or the content's range.

Footage fills the 10 or 12 bits of its format, as a player assumes; what a camera or a microscope writes as grey, or
into 16 bits, does not.

Shapes: H W pixels; samples are (H,W) grey or (H,W,3) RGB.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from vossegcli.io.media.depth import NO_RANGE, RangeChoice, Samples, SequenceDepth, as_rgb

_BYTE, _DEEPEST = 8, 16
_FILLED = 0.25  # share of a format's values from which on its depth is believed


def bits_of(frame: VideoFrame) -> int:
    """Bits of a sample of the frame's pixel format; 8 for palettes and the like."""
    return max((component.bits for component in frame.format.components), default=_BYTE)


def is_grey(frame: VideoFrame) -> bool:
    """Return True if the pixel format has no colour."""
    return len(frame.format.components) == 1 and frame.format.name.startswith("gray")


def samples_of(frame: VideoFrame) -> Samples:
    """Take the samples of a frame with all their bits: 8-bit RGB, deep grey, or RGB in the bits of the format."""
    bits = bits_of(frame)
    if bits <= _BYTE:
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    if is_grey(frame):
        samples = frame.to_ndarray()
        return samples.astype(samples.dtype.newbyteorder("="), copy=False)
    return np.asarray(frame.to_ndarray(format="rgb48le"), np.uint16) >> max(0, _DEEPEST - bits)


class VideoDepth:
    """Turns the frames of a video into 8-bit RGB, all in the same way.

    Args:
        count: number of frames.
        frame_at: decodes a frame by its index.
        choice: what the user said about the range of values.
    """

    def __init__(self, count: int, frame_at: Callable[[int], VideoFrame], choice: RangeChoice) -> None:
        first = frame_at(0)
        bits = bits_of(first)
        self.note: str | None = None
        self._depth: SequenceDepth | None = None
        if bits <= _BYTE:
            self.note = None if choice is None else NO_RANGE
            return
        depth = SequenceDepth(
            count, lambda index: samples_of(frame_at(index)), choice, None if bits > _DEEPEST else bits
        )
        values = depth.values
        trusted = choice is None and not is_grey(first) and bits < _DEEPEST
        if trusted and values is not None and values.high - values.low >= _FILLED * (2**bits - 1):
            self.note = f"{bits}-bit video: 0:{2**bits - 1}, the depth of its pixel format, shown as 0:255"
            return
        self._depth, self.note = depth, depth.note

    def shown(self, frame: VideoFrame, where: str) -> npt.NDArray[np.uint8]:
        """Turn a frame into RGB (H,W,3) of 8 bits.

        Raises:
            InputError: it has another depth than the first.
        """
        if self._depth is None:
            return as_rgb(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
        return self._depth.shown(samples_of(frame), where)
