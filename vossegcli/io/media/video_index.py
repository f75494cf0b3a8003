"""Index of the frames of a video file, and decoding exactly those that are asked for.

FFmpeg seeks to key frames only, and its headers may announce another number of frames than come out; hence an
index of time stamps, made from the packets and checked against the decoder, or made by decoding everything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vossegcli.errors import InputError
from vossegcli.io.media.images import check_pixels

_NOT_VIDEOS = frozenset({"tty", "hls", "concat", "dash", "sdp", "ffmetadata", "webm_dash_manifest"})


@dataclass(frozen=True)
class VideoIndex:
    """Positions of the frames of a stream.

    Attributes:
        times: time stamp of every frame in display order (in units of the stream's time base); without
            usable time stamps, 0, 1, 2, ...
        keys: indices of the frames from which decoding can start; the first is 0.
        stamped: whether `times` are the stream's own.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    stamped: bool


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video; FFmpeg's errors, while decoding too, name the file."""
    if not path.is_file():
        raise InputError("does not exist", where=path, fix="check the path")
    if path.stat().st_size == 0:
        raise InputError("is empty (0 bytes)", where=path, fix="replace or remove the file")
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(
            ffmpeg_url(path), options=options, metadata_errors="replace"
        ) as container:  # titles in any encoding
            if container.format.name in _NOT_VIDEOS:
                raise InputError("is a text or a playlist", where=path, fix="give a video file")
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise InputError("holds no video stream that can be decoded", where=path, fix="give a video file")
            check_pixels(path, stream.height, stream.width)
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        what = f"is not a video that can be read, or is damaged ({error.strerror})"
        raise InputError(what, where=path, fix="replace it, or encode it again with ffmpeg") from error


def ffmpeg_url(path: Path) -> str:
    """Give a path in the form that FFmpeg takes for nothing but a path."""
    return f"file:{path}"  # a bare name with a colon would be taken for a protocol


def index_of_packets(path: Path) -> VideoIndex | None:
    """Index a stream without decoding it; None where packets and frames may not correspond."""
    stamps: list[int] = []
    key_stamps: set[int] = set()
    with opened_video(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            stamps.append(packet.pts)
            if packet.is_keyframe:
                key_stamps.add(packet.pts)
    if not stamps or len(set(stamps)) != len(stamps):
        return None
    times = tuple(sorted(stamps))
    keys = {index for index, time in enumerate(times) if time in key_stamps}
    return VideoIndex(times, tuple(sorted(keys | {0})), stamped=True)


def index_of_frames(path: Path) -> VideoIndex:
    """Index a stream by decoding all of it."""
    stamps: list[int | None] = []
    keys = {0}
    with opened_video(path) as (container, stream):
        for frame in _frames(container, stream):
            if frame.key_frame:
                keys.add(len(stamps))
            stamps.append(frame.pts)
    times = tuple(stamp for stamp in stamps if stamp is not None)
    if len(times) == len(stamps) and all(a < b for a, b in zip(times, times[1:], strict=False)):
        return VideoIndex(times, tuple(sorted(keys)), stamped=True)
    return VideoIndex(tuple(range(len(stamps))), (0,), stamped=False)


def decoded(path: Path, index: VideoIndex, start: int, stop: int, *, to_the_end: bool = False) -> Iterator[VideoFrame]:
    """Decode exactly the frames [start, stop).

    Args:
        path: the video file.
        index: where its frames are.
        start: index of the first frame.
        stop: index after the last one.
        to_the_end: also make sure that no frame follows.

    Raises:
        InputError: a frame of the range does not come out of the decoder, or one comes that is not indexed.
    """
    usable_keys = index.keys[: bisect_right(index.keys, start)]
    wanted = start
    for key in reversed(usable_keys):
        for time, frame in _timed_frames(path, index, key):
            if wanted == stop:  # nothing should follow the end
                raise _decode_error(path, wanted)
            if time > index.times[wanted]:
                break
            if time == index.times[wanted]:
                wanted += 1
                yield frame
                if wanted == stop and not to_the_end:
                    return
        if wanted > start:
            break  # else the container sought too far: start from the key frame before
    if wanted < stop:
        raise _decode_error(path, wanted)


def _timed_frames(path: Path, index: VideoIndex, key: int) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from a key frame on; some frames before it may come first."""
    with opened_video(path) as (container, stream):
        if key > 0:
            container.seek(index.times[key], stream=stream)
        for count, frame in enumerate(_frames(container, stream)):
            if not index.stamped:
                yield count, frame
            elif frame.pts is not None:
                yield frame.pts, frame


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode a stream; of a file that is cut off, the last packet may be left out."""
    packets = container.demux(stream)
    for packet in packets:
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            if any(later.size for later in packets):
                raise
            frames = stream.decode(None)
        yield from frames


def _decode_error(path: Path, position: int) -> InputError:
    return InputError(f"frame {position} cannot be decoded", where=path, fix="encode the video again with ffmpeg")
