"""Writers of H.264 and, with alpha, of ProRes 4444.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3), or RGBA, (H,W,4).
"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vossegcli.errors import InputError
from vossegcli.io.media.limits import LONGEST_H264, LONGEST_PRORES, fitted_size
from vossegcli.io.media.timing import Timing
from vossegcli.io.media.video_index import ffmpeg_url
from vossegcli.io.records.atomic import atomic_path

_TICK = Fraction(1, 90_000)  # seconds; what MPEG counts in


class VideoWriter:
    """Write an H.264 mp4 file that appears when the block ends well.

    Sides of odd length, which 4:2:0 cannot hold, are padded by repeating the last row or column. Frames with a side
    that is longer than the encoder takes are scaled down.

    Args:
        path: the file to write.
        fps: frames a second, above 0.
        size: (H, W) of every frame.
        timing: time stamps where the frames do not follow each other evenly, and the shape of the pixels.
    """

    _CONTAINER: ClassVar = "mp4"
    _ENCODER: ClassVar = "libx264"
    _OPTIONS: ClassVar = {"crf": "19", "preset": "veryfast"}
    _STORED: ClassVar = "yuv420p"
    _GIVEN: ClassVar = "rgb24"
    _CHANNELS: ClassVar = 3
    _LONGEST: ClassVar = LONGEST_H264
    _MULTIPLE: ClassVar = 2  # of the sides

    def __init__(self, path: Path, fps: float, size: tuple[int, int], timing: Timing | None = None) -> None:
        self._path = path
        self._fps = Fraction(fps).limit_denominator(1001)
        self._timing = timing or Timing(fps)
        self._size = size
        self._fitted = fitted_size(size, self._LONGEST)
        self._written = 0

    def __enter__(self) -> Self:
        """Open the file under a temporary name.

        Raises:
            InputError: it cannot be written.
        """
        height, width = self._fitted
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self._path))
            options = {"movflags": "+faststart"}
            self._container = av.open(ffmpeg_url(temporary), "w", format=self._CONTAINER, options=options)
            stack.callback(self._container.close)
            self._stream = cast(VideoStream, self._container.add_stream(self._ENCODER, rate=self._fps))
            self._stream.width, self._stream.height = width + width % self._MULTIPLE, height + height % self._MULTIPLE
            self._stream.pix_fmt = self._STORED
            self._stream.options = dict(self._OPTIONS)
            self._stream.codec_context.colorspace = 1  # BT.709, limited range, as players assume
            self._stream.codec_context.color_range = 1
            if self._timing.times:
                self._stream.codec_context.time_base = _TICK
            if self._timing.pixel_aspect != 1:
                self._stream.codec_context.sample_aspect_ratio = self._timing.pixel_aspect
            self._stack = stack.pop_all()
        return self

    def write(self, image: npt.NDArray[np.uint8]) -> None:
        """Append a frame.

        Args:
            image: (H,W,3) uint8 RGB, or (H,W,4) RGBA where the format has alpha.

        Raises:
            ValueError: the image has another size than the video.
        """
        height, width = self._size
        if image.shape != (height, width, self._CHANNELS):
            raise ValueError(f"image of shape {image.shape} in a video of {height} x {width}")
        padded = np.pad(image, ((0, height % self._MULTIPLE), (0, width % self._MULTIPLE), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(padded), format=self._GIVEN)
        width, height = self._stream.width, self._stream.height
        frame = frame.reformat(width, height, format=self._STORED, dst_colorspace="ITU709", dst_color_range="MPEG")
        if self._timing.times:
            frame.pts, frame.time_base = round(self._timing.times[self._written] / _TICK), _TICK
        self._container.mux(self._stream.encode(frame))
        self._written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or remove it if the block failed.

        Raises:
            InputError: no frame was written.
        """
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if not self._written:
                raise InputError("no frames to write", where=self._path, fix="give at least one frame")
            self._container.mux(self._stream.encode(None))


class AlphaVideoWriter(VideoWriter):
    """Write a ProRes 4444 mov file with alpha, which is straight: colours are not multiplied by it."""

    _CONTAINER = "mov"
    _ENCODER = "prores_ks"
    _OPTIONS: ClassVar = {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}
    _STORED = "yuva444p10le"
    _GIVEN = "rgba"
    _CHANNELS = 4
    _LONGEST = LONGEST_PRORES
    _MULTIPLE = 1
