"""Video files: exact random access in bounded memory.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from av.video.frame import VideoFrame

from vossegcli.errors import InputError
from vossegcli.io.media.depth import RangeChoice
from vossegcli.io.media.display_matrix import Turn, turn_of
from vossegcli.io.media.timing import Timing, uneven
from vossegcli.io.media.video_depth import VideoDepth
from vossegcli.io.media.video_index import (
    VideoIndex,
    decoded,
    index_of_frames,
    index_of_packets,
    opened_video,
)
from vossegcli.io.media.video_length import cut_off_note
from vossegcli.types import Frame

_FALLBACK_FPS = 25.0
_BACKWARD_BYTES = 256 * 2**20
_PROBED_FRAMES = 16
_LONGEST_PROBED_TAIL = 300


class VideoFrames:
    """The frames of a video file, named by their zero-padded index.

    Args:
        path: a file in any format that FFmpeg reads. It is opened when something is asked of it.
        choice: the range of values that is shown, for more than 8 bits; None = the pixel format's depth, or the
            range of the content where that fills little of it.
    """

    def __init__(self, path: Path, choice: RangeChoice = None) -> None:
        self._path, self._choice = path, choice

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`00000`, `00001`, ..., with more digits from 100 000 frames on."""
        count = len(self)
        digits = max(5, len(str(count - 1)))
        return tuple(f"{index:0{digits}d}" for index in range(count))

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame, turned as the metadata say.

        Raises:
            InputError: the first frame cannot be decoded, or is to be shown askew.
        """
        first = self._frame_at(0)
        return self._turn.size(first.height, first.width)

    @cached_property
    def timing(self) -> Timing:
        """Frame rate, time stamps where it varies, and pixel aspect; 25 frames a second where the file does not tell.

        Raises:
            InputError: the file is not a video that can be read.
        """
        with opened_video(self._path) as (_, stream):
            rate = stream.average_rate or stream.guessed_rate
            tick, aspect = stream.time_base or Fraction(0), stream.sample_aspect_ratio
        fps = float(rate) if rate else _FALLBACK_FPS
        times = [time * tick for time in self._index.times] if self._index.stamped else []
        pixel = Fraction(aspect) if aspect else Fraction(1)
        return Timing(fps, uneven(times, tick), 1 / pixel if self._turn.transposed else pixel)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Note on a file that is cut off.

        Raises:
            InputError: the file is not a video that can be read.
        """
        note = cut_off_note(self._path, len(self))
        return () if note is None else (note,)

    @property
    def scaling(self) -> str | None:
        """Note on the scaling of frames of more than 8 bits, or None; some are decoded."""
        return self._depth.note

    def __len__(self) -> int:
        """Count the frames that decode, not those that the header announces.

        Raises:
            InputError: the file is not a video that can be read, or holds no frames.
        """
        return len(self._index.times)

    def iterate(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Decode the frames of [start, stop) one by one, in bounded memory in both directions.

        Backwards, a run of frames is decoded forwards from its key frame and given out last first; where key
        frames are so far apart that a run would not fit, stretches are decoded repeatedly.

        Args:
            start: index of the first frame of the range.
            stop: index after the last one; None = to the end.
            reverse: give the same frames, last first.

        Raises:
            InputError: a frame cannot be decoded.
        """
        indices = range(len(self))[start:stop]
        if not indices:
            return
        if not reverse:
            for index, frame in zip(indices, self._decoded(indices.start, indices.stop), strict=True):
                yield self._converted(index, frame)
            return
        for first, last in self._backward_runs(indices):
            run = list(self._decoded(first, last))
            for index in range(last - 1, first - 1, -1):
                yield self._converted(index, run.pop())

    @property
    def _turn(self) -> Turn:
        return self._first_turn[0]

    @cached_property
    def _first_turn(self) -> tuple[Turn, int]:
        """Turn of the first frame, and its rotation alone, in degrees."""
        first = self._frame_at(0)
        return turn_of(first, self._path), first.rotation

    @cached_property
    def _depth(self) -> VideoDepth:
        return VideoDepth(len(self), self._frame_at, self._choice)

    def _frame_at(self, index: int) -> VideoFrame:
        (frame,) = self._decoded(index, index + 1)
        return frame

    @cached_property
    def _index(self) -> VideoIndex:
        index = index_of_packets(self._path)
        if index is None or not self._agrees(index):
            index = index_of_frames(self._path)
        if not index.times:
            raise InputError("holds no frames", where=self._path, fix="replace or remove the file")
        return index

    def _agrees(self, index: VideoIndex) -> bool:
        """Check the packets' index against the decoder, at both ends of the video."""
        count = len(index.times)
        tail = index.keys[-1]
        try:
            for _ in decoded(self._path, index, 0, min(_PROBED_FRAMES, count)):
                pass
            if count - tail <= _LONGEST_PROBED_TAIL:
                for _ in decoded(self._path, index, tail, count, to_the_end=True):
                    pass
        except InputError:
            return False
        return True

    def _decoded(self, start: int, stop: int) -> Iterator[VideoFrame]:
        return decoded(self._path, self._index, start, stop)

    def _backward_runs(self, indices: range) -> Iterator[tuple[int, int]]:
        """Split a range into runs [first, last), last run first: within one key frame's reach, bounded."""
        height, width = self.size
        longest = max(8, _BACKWARD_BYTES // (2 * height * width))  # 4:2:0 takes 1.5 bytes a pixel
        last = indices.stop
        while last > indices.start:
            key = self._index.keys[bisect_right(self._index.keys, last - 1) - 1]
            first = max(key, last - longest, indices.start)
            yield first, last
            last = first

    def _converted(self, index: int, frame: VideoFrame) -> Frame:
        turn, rotation = self._first_turn
        if frame.rotation != rotation:  # a frame whose side data PyAV has shown stays until garbage is collected
            turn = turn_of(frame, self._path)
        image = turn.applied(self._depth.shown(frame, str(self._path)))
        if image.shape[:2] != self.size:
            raise InputError(
                f"frame {self.names[index]} has another size than the first",
                where=self._path,
                fix="encode the video again with one size",
            )
        return Frame(self.names[index], image)
