"""From many bits to the 8 that networks take: one range of values for a whole sequence.

Samples of more than 8 bits say little by their type: cameras put 10 or 12 bits into 16, add an offset, or write
floating point. The range is found in the content, with percentiles that a few hot pixels do not move.

Shapes: H W pixels; samples are (H,W) grey or (H,W,3) RGB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vossegcli.errors import ConfigError, InputError

Samples = npt.NDArray[Any]
_Counts = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]

#: Shares of the samples that may lie outside the range, below and above.
CUT = 0.001
#: Frames of a sequence that are looked at, evenly spread, the first and the last among them.
SAMPLED_FRAMES = 32
_SAMPLED_VALUES = 1 << 17  # of each frame, where there are too many different values to count
_COUNTED_BYTES = 2
NO_RANGE = "8 bits a sample: --range has no effect"
_OF_FRAMES = re.compile(r", found in \d+ of them")
_8_BIT_TYPES = (np.dtype(np.uint8), np.dtype(np.bool_))


@dataclass(frozen=True)
class ValueRange:
    """Values that become black and white.

    Attributes:
        low: shown as 0, and all below.
        high: shown as 255, and all above.
    """

    low: float
    high: float

    def __str__(self) -> str:
        """Write it as `--range` takes it."""
        return f"{self.low:g}:{self.high:g}"


#: None = by the content, `type` = all that the type can hold, else as given.
RangeChoice = ValueRange | Literal["type"] | None


def parse_range(text: str | None) -> RangeChoice:
    """Read what `--range` is given.

    Args:
        text: `LOW:HIGH`, `type`, `content`, or None.

    Raises:
        ConfigError: it is something else.
    """
    if text is None or text == "content":
        return None
    if text == "type":
        return "type"
    low, _, high = text.partition(":")
    try:
        found = ValueRange(float(low), float(high))
    except ValueError:
        found = ValueRange(0.0, 0.0)
    if not found.low < found.high or not np.isfinite([found.low, found.high]).all():
        raise ConfigError(f"'{text}' is not a range", where="--range", fix="give LOW:HIGH, type or content")
    return found


def is_deep(samples: Samples) -> bool:
    """Return True if samples have more than 8 bits."""
    return samples.dtype not in _8_BIT_TYPES


def type_range(dtype: np.dtype[Any], bits: int | None = None) -> ValueRange:
    """The range of a type: all values of an integer, or those of `bits` bits; 0 to 1 in floating point."""
    if bits is not None:
        return ValueRange(0.0, float(2**bits - 1))
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return ValueRange(float(limits.min), float(limits.max))
    return ValueRange(0.0, 1.0)


def content_range(frames: Iterable[Samples]) -> ValueRange:
    """Find the range of values that frames use, but for the CUT darkest and brightest.

    Values that are not finite do not count. Where almost all samples have one value, the extremes are taken. The
    range covers that of each colour.

    Args:
        frames: samples of more than 8 bits, all of one type; looked at one by one.
    """
    channels: dict[int, _Counts] = {}
    for frame in frames:
        for number in range(1 if frame.ndim == 2 else frame.shape[2]):
            channel = frame if frame.ndim == 2 else frame[..., number]
            channels[number] = _joined(channels.get(number), _counted_in(channel))
    found = [_between_the_cuts(*counted) for counted in channels.values() if len(counted[0])]
    if not found:
        return ValueRange(0.0, 0.0)
    return ValueRange(min(low for low, _ in found), max(high for _, high in found))


def _between_the_cuts(values: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    before = np.cumsum(counts)
    low = values[np.searchsorted(before, CUT * before[-1], side="right")]
    high = values[np.searchsorted(before, (1 - CUT) * before[-1], side="left")]
    if low >= high:
        low, high = values[0], values[-1]
    return float(low), float(high)


def _joined(one: _Counts | None, other: _Counts) -> _Counts:
    """The different values of both, ascending, and how often each occurs."""
    if one is None:
        return other
    values, place = np.unique(np.concatenate([one[0], other[0]]), return_inverse=True)
    counts = np.bincount(place, np.concatenate([one[1], other[1]]), len(values)).astype(np.int64)
    return values, counts


def _counted_in(frame: Samples) -> _Counts:
    seen = frame.ravel()
    if seen.dtype.kind in "iu" and seen.dtype.itemsize <= _COUNTED_BYTES:
        least = int(np.iinfo(seen.dtype).min)
        number = np.bincount(seen.astype(np.int64) - least)
        fresh = np.flatnonzero(number)
        return fresh + least, number[fresh]
    seen = seen[:: max(1, seen.size // _SAMPLED_VALUES)]
    if seen.dtype.kind == "f":
        seen = seen[np.isfinite(seen)]
    return np.unique(seen, return_counts=True)


def to_8_bit(samples: Samples, values: ValueRange) -> npt.NDArray[np.uint8]:
    """Scale samples of more than 8 bits linearly; what is no number becomes 0, and so do equal values.

    Args:
        samples: of any shape.
        values: those that become 0 and 255.
    """
    if values.high <= values.low:
        return np.zeros(samples.shape, np.uint8)
    scaled = (samples.astype(np.float64) - values.low) * (255.0 / (values.high - values.low))
    shown: npt.NDArray[np.uint8] = np.rint(np.nan_to_num(scaled, nan=0.0).clip(0.0, 255.0)).astype(np.uint8)
    return shown


def as_rgb(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Repeat grey (H,W) three times; RGB (H,W,3) stays."""
    return samples if samples.ndim == 3 else np.repeat(samples[..., None], 3, axis=2)


def sampled_indices(count: int) -> list[int]:
    """Indices of the frames of a sequence that its range is found in."""
    spread = np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).round()
    return sorted({int(index) for index in spread})


class SequenceDepth:
    """Gives all frames of a sequence the same range, found before the first of them is shown.

    Args:
        count: number of frames.
        read: gives the samples of a frame by its index.
        choice: what the user said about the range.
        bits: of the samples, where the format says so; None = those of the type.
    """

    def __init__(
        self, count: int, read: Callable[[int], Samples], choice: RangeChoice, bits: int | None = None
    ) -> None:
        self._count, self._read, self._choice, self._bits = count, read, choice, bits
        self._found: tuple[ValueRange | None, str | None] | None = None

    @property
    def values(self) -> ValueRange | None:
        """The range, or None where the first frame has 8 bits: then all have."""
        return self._looked_at()[0]

    @property
    def note(self) -> str | None:
        """A sentence on how the frames are scaled, or that they are not though a range is given; else None."""
        return self._looked_at()[1]

    def shown(self, samples: Samples, where: str) -> npt.NDArray[np.uint8]:
        """Turn samples into RGB (H,W,3) of 8 bits.

        Raises:
            InputError: one frame has 8 bits and another more.
        """
        values = self.values
        if is_deep(samples) != (values is not None):
            is_, first = ("more than 8", "8") if values is None else ("8", "more than 8")
            fix = "save all frames of a sequence with the same depth"
            raise InputError(f"has {is_} bits a sample, but the first frame has {first}", where=where, fix=fix)
        return as_rgb(samples if values is None else to_8_bit(samples, values))

    def _looked_at(self) -> tuple[ValueRange | None, str | None]:
        if self._found is None:
            self._found = self._look()
        return self._found

    def _look(self) -> tuple[ValueRange | None, str | None]:
        first = self._read(0)
        if not is_deep(first):
            return None, None if self._choice is None else NO_RANGE
        what = f"{bits_text(first.dtype, self._bits)} frames"
        if isinstance(self._choice, ValueRange):
            return self._choice, f"{what}: {self._choice} shown as 0:255, as given"
        if self._choice == "type":
            values = type_range(first.dtype, self._bits)
            return values, f"{what}: {values}, the whole type, shown as 0:255"
        indices = sampled_indices(self._count)
        deep = (samples for samples in map(self._read, indices) if is_deep(samples))
        values = content_range(deep)
        return values, f"{what}: {values}, found in {len(indices)} of them, shown as 0:255 (--range sets another range)"


def scale_image(samples: Samples, choice: RangeChoice) -> tuple[npt.NDArray[np.uint8], str | None]:
    """Turn the samples of a single image into RGB (H,W,3) of 8 bits, and say how."""
    depth = SequenceDepth(1, lambda _: samples, choice)
    note = single_image_note(depth.note)
    return depth.shown(samples, "image"), note


def single_image_note(note: str | None) -> str | None:
    """Word a note of a `SequenceDepth` for one image."""
    return None if note is None else _OF_FRAMES.sub("", note.replace(" frames", ""))


def bits_text(dtype: np.dtype[Any], bits: int | None = None) -> str:
    """Name a type of samples: `16-bit`, `32-bit float`."""
    kind = " float" if np.issubdtype(dtype, np.floating) else ""
    return f"{bits or 8 * dtype.itemsize}-bit{kind}"
