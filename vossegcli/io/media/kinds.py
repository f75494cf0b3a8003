"""The kind of a file by its content: an image, an image stack, a video, or none of them.

Names are hints only: a suffix that everybody uses for media makes a damaged file one that is told, instead of one that
is left out; and content that is recognised goes before any suffix.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

from PIL import Image

from vossegcli.errors import InputError
from vossegcli.io.media.stacks import is_stack
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES

Kind = Literal["image", "stack", "video"]

_HEADER = 2048
_TS_PACKETS = ((0, 188), (4, 192), (0, 204))  # where packets begin, and their length; three in a row count
_TS_SYNC = b"G"
_IMAGES = (b"\xff\xd8\xff", b"BM", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51", b"P1\n", b"P2\n", b"P3\n", b"P4\n",
           b"P5\n", b"P6\n", b"P5 ", b"P6 ", b"Pf\n", b"PF\n", b"8BPS", b"qoif", b"DDS ")  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"
_STACKS = (b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_VIDEOS = (
    b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"FLV", b"\0\0\1\xba", b"\0\0\1\xb3", b"YUV4MPEG2",
    b"\x06\x0e\x2b\x34", b"DKIF", b"\0\0\0\1\x67", b"\0\0\0\1\x40\x01", b"\0\0\1\x67", b".RMF", b"\x1f\x07\0",
    b"nut/multimedia",
)  # fmt: skip
_VIDEOS_OF_IMAGES = frozenset({".mjpeg", ".mjpg"})  # their content begins as a JPEG file does
_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_IMAGE_BRANDS = frozenset({b"avif", b"heic", b"heix", b"mif1"})
_SHEET_BRANDS = frozenset({b"avis"})


def kind_of(path: Path) -> Kind | None:
    """Tell what a file holds; None where it is nothing to segment.

    Args:
        path: a file. It need not be readable: then its suffix decides.
    """
    if _is_no_file(path):
        return None
    header = _header(path)
    if path.suffix.lower() in _VIDEOS_OF_IMAGES:
        return "video"
    if header.startswith(_PNG) and b"IDAT" in header and b"acTL" not in header:
        return "image"  # without a second look: folders hold many
    if header.startswith((_PNG, *_STACKS)) or _is_webp(header) or header[8:12] in _SHEET_BRANDS:
        return "stack" if is_stack(path) else "image"
    found = _by_content(header)
    if found is not None:
        return found
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "video" if suffix in VIDEO_SUFFIXES else None


def kind_of_anything(path: Path) -> Kind | None:
    """Tell what a file holds that somebody named: whatever Pillow or FFmpeg opens counts."""
    found = kind_of(path)
    if found is not None:
        return found
    try:
        with Image.open(path) as image:
            return "stack" if is_stack(path) else "image" if image.format else None
    except Exception:  # noqa: BLE001 - Pillow raises of all kinds where it is no image
        return "video" if _is_video(path) else None


def _is_video(path: Path) -> bool:
    from vossegcli.io.media.video import VideoFrames  # loads PyAV

    try:
        return len(VideoFrames(path)) > 0
    except InputError:
        return False


def _by_content(header: bytes) -> Kind | None:
    if header.startswith(_IMAGES) and (not header.startswith(b"BM") or header[6:10] == bytes(4)):
        return "image"
    if header.startswith(_VIDEOS) or (header.startswith(b"RIFF") and header[8:12] == b"AVI "):
        return "video"
    if header.startswith(b"OggS") and (b"theora" in header or b"VP80" in header):
        return "video"
    if header[4:8] in _ATOMS and header[:1] == b"\0":
        if header[8:11] == b"M4A":
            return None
        return "image" if header[8:12] in _IMAGE_BRANDS else "video"
    if any(header[first : first + 3 * length : length] == _TS_SYNC * 3 for first, length in _TS_PACKETS):
        return "video"
    return None


def _is_webp(header: bytes) -> bool:
    return header.startswith(b"RIFF") and header[8:12] == b"WEBP"


def _is_no_file(path: Path) -> bool:
    """Return True for a pipe, a socket or a device, where a reader would wait for ever."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _header(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(_HEADER)
    except OSError:
        return b""
