"""Videos that are cut off: the frames that are there, beside those that the header announces.

The header of a file says how many frames it holds, or how long it is; a download or a copy that broke off has fewer.
Streams that announce nothing, as MPEG-TS, tell only where they end in the middle of a packet, or lack their end.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vossegcli.io.media.video_index import opened_video
from vossegcli.wording import counted

#: Containers whose headers say how long they are; for others FFmpeg estimates it from what is there.
_TELL_THEIR_LENGTH = frozenset({"matroska,webm", "asf", "flv", "nut", "mxf"})
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_LEAST_MISSING = 0.01  # of the length: rounding, and the length of the last frame
_LEAST_FRAMES = 2
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_SECONDS, _ASF_PREROLL = 1e-7, 1e-3
_TS_PACKET = 188
_HEADER = 1 << 16
_TAIL = 1 << 18
_NUT_INDEX = bytes.fromhex("4e58dd672f23e64e")
_PACK, _PROGRAM_END = b"\0\0\1\xba", b"\0\0\1\xb9"
_SHORT_PACK, _LONG_PACK = 12, 14
_OGG_PAGE, _OGG_END = rb"OggS\0", 4


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
        length = _announced_seconds(path, container, stream) if kind in _TELL_THEIR_LENGTH else None
        ends, whole = _ends(path, container, stream)
    video = ends.get(index, 0.0)
    if length is not None and video > 0:
        missing = length - max(ends.values())  # another stream may be longer
        if missing > max(_LEAST_MISSING * length, (_LEAST_FRAMES + 0.5) * video / found):
            return _note(found, round(found * length / video), about="about ")
    if whole and not _lacks_its_end(path, kind):
        return None
    return f"ends after {counted(found, 'frame[|s]')}, in the middle of a packet: the file is cut off"


def _note(found: int, announced: int, about: str = "") -> str:
    return f"ends after {found} of {about}{announced} frames: the file is cut off"


def _lacks_its_end(path: Path, kind: str) -> bool:
    """Return True if a file does not end as files of its kind do."""
    size = path.stat().st_size
    if kind == "mpegts":
        return bool(size % _TS_PACKET and size % (_TS_PACKET + 4))
    if kind not in {"ogg", "nut", "mpeg"}:
        return False
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if kind == "nut":
        return _NUT_INDEX not in tail
    if kind == "mpeg":
        return _ends_in_a_pack(tail)
    flags = [tail[place.end()] for place in re.finditer(_OGG_PAGE, tail) if place.end() < len(tail)]
    return not any(flag & _OGG_END for flag in flags)


def _ends_in_a_pack(tail: bytes) -> bool:
    """Return True if a packet of the last pack of an MPEG program stream reaches beyond the end of the file."""
    place = tail.rfind(_PACK)
    if place < 0 or place + _LONG_PACK > len(tail):
        return place >= 0
    is_mpeg2 = tail[place + 4] >> 6 == 1
    place += _LONG_PACK + (tail[place + _LONG_PACK - 1] & 7) if is_mpeg2 else _SHORT_PACK
    while place < len(tail) and tail[place : place + 4] != _PROGRAM_END:
        if tail[place : place + 3] != _PACK[:3]:
            return False  # something else follows
        place += 6 + int.from_bytes(tail[place + 4 : place + 6])
    return place > len(tail)


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


def _ends(path: Path, container: InputContainer, stream: VideoStream) -> tuple[dict[int, float], bool]:
    """End of each stream, in seconds after the first frame of the video; and whether the last packet is whole."""
    first: float | None = None
    ends: dict[int, float] = {}
    corrupt, place = False, 0
    for packet in container.demux():
        if packet.size:
            corrupt, place = packet.is_corrupt, (packet.pos or 0) + packet.size
        if packet.size == 0 or packet.pts is None or packet.time_base is None:
            continue
        start = float(packet.pts * packet.time_base)
        if packet.stream_index == stream.index:
            first = start if first is None else min(first, start)
        end = start + float((packet.duration or 0) * packet.time_base)
        ends[packet.stream_index] = max(ends.get(packet.stream_index, 0.0), end)
    part_of_a_frame = container.format.name == "yuv4mpegpipe" and place < path.stat().st_size
    return {index: end - (first or 0.0) for index, end in ends.items()}, not (corrupt or part_of_a_frame)
