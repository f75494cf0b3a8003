"""Videos that are cut off: the frames that are there, beside those that the header announces.

The header of a file says how many frames it holds, or how long it is; a download or a copy that broke off has fewer.
Streams that announce nothing, as MPEG-TS, tell only where they end in the middle of a packet.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vossegcli.io.media.video_index import opened_video

#: Containers whose headers say how long they are; for others FFmpeg estimates it from what is there.
_TELL_THEIR_LENGTH = frozenset({"matroska,webm", "asf", "flv", "nut", "mxf"})
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_LEAST_MISSING = 0.01  # of the length: rounding, and the length of the last frame
_LEAST_FRAMES = 2
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_SECONDS, _ASF_PREROLL = 1e-7, 1e-3
_TS_PACKET = 188
_HEADER = 1 << 16


def cut_off_note(path: Path, found: int) -> str | None:
    """Say that a video is cut off, if it is.

    Args:
        path: the video.
        found: frames that can be decoded.

    Raises:
        InputError: the file cannot be read.
    """
    with opened_video(path) as (container, stream):
        kind, index = container.format.name, stream.index
        if stream.frames > 0:
            packets = [bool(packet.is_discard) for packet in container.demux(stream) if packet.size > 0]
            announced = stream.frames - sum(packets)  # an edit list hides some
            return _note(found, announced) if len(packets) < stream.frames and found < announced else None
        if kind == "mpegts" and path.stat().st_size % _TS_PACKET and path.stat().st_size % (_TS_PACKET + 4):
            return f"ends after {found} frames, in the middle of a packet: the file is cut off"
        length = _announced_seconds(path, container, stream) if kind in _TELL_THEIR_LENGTH else None
        ends = {} if length is None else _ends(container, stream)
    video = ends.get(index, 0.0)
    if length is None or video <= 0:
        return None
    missing = length - max(ends.values())  # another stream may be longer
    if missing <= max(_LEAST_MISSING * length, (_LEAST_FRAMES + 0.5) * video / found):
        return None
    return _note(found, round(found * length / video), about="about ")


def _note(found: int, announced: int, about: str = "") -> str:
    return f"ends after {found} of {about}{announced} frames: the file is cut off"


def _announced_seconds(path: Path, container: InputContainer, stream: VideoStream) -> float | None:
    if container.format.name == "asf":
        return _asf_seconds(path)
    match = _DURATION.search(stream.metadata.get("DURATION", ""))
    if match is not None:
        return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _asf_seconds(path: Path) -> float | None:
    """Read the length in the header of an ASF file, which FFmpeg does not give where the file is cut off."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    start = header.find(_ASF_FILE_PROPERTIES)
    if start < 0 or len(header) < start + 88:
        return None
    played, _, preroll = struct.unpack_from("<QQQ", header, start + 64)
    return float(played * _ASF_SECONDS - preroll * _ASF_PREROLL)


def _ends(container: InputContainer, stream: VideoStream) -> dict[int, float]:
    """End of each stream, in seconds after the first frame of the video."""
    first: float | None = None
    ends: dict[int, float] = {}
    for packet in container.demux():
        if packet.size == 0 or packet.pts is None or packet.time_base is None:
            continue
        start = float(packet.pts * packet.time_base)
        if packet.stream_index == stream.index:
            first = start if first is None else min(first, start)
        end = start + float((packet.duration or 0) * packet.time_base)
        ends[packet.stream_index] = max(ends.get(packet.stream_index, 0.0), end)
    return {index: end - (first or 0.0) for index, end in ends.items()}
