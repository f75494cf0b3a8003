"""Frames in order, from image files or a video, one at a time.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from vossegcli.errors import InputError
from vossegcli.io.video import VideoFrames
from vossegcli.types import Frame, FrameSequence

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm"})

EXIF_ORIENTATION = 0x0112
_ORIENTATIONS_ON_THEIR_SIDE = frozenset({5, 6, 7, 8})


class FrameReader(Protocol):
    """The frames of one sequence."""

    @property
    def names(self) -> tuple[str, ...]:
        """Frame names in order: file stems, or zero-padded indices for a video."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame."""

    def __len__(self) -> int:
        """Count the frames."""

    def iterate(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Decode the frames of [start, stop) one by one; with `reverse`, the same frames, last first."""


class FolderFrames:
    """Image files as frames, decoded when their turn comes.

    Args:
        files: image files in order.
        name: what to call the sequence in an error.

    Raises:
        InputError: no file, or two files with the same stem.
    """

    def __init__(self, files: tuple[Path, ...], name: str = "frames") -> None:
        if not files:
            raise InputError("holds no frames", where=name, fix="put image files there, or leave it out")
        self._files = files
        self._names = tuple(path.stem for path in files)
        self._size: tuple[int, int] | None = None
        check_unique_stems(files)

    @property
    def names(self) -> tuple[str, ...]:
        """File stems, in order."""
        return self._names

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first frame, which all others must have."""
        if self._size is None:
            self._size = read_image_size(self._files[0])
        return self._size

    def __len__(self) -> int:
        """Count the frames."""
        return len(self._files)

    def iterate(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Decode the frames of [start, stop) one by one.

        Args:
            start: index of the first frame of the range.
            stop: index after the last one; None = to the end.
            reverse: give the same frames, last first.

        Raises:
            InputError: a file cannot be read, or has another size than the first.
        """
        indices = range(len(self))[start:stop]
        for index in reversed(indices) if reverse else indices:
            yield Frame(self._names[index], self._read(self._files[index]))

    def _read(self, path: Path) -> npt.NDArray[np.uint8]:
        image = read_image(path)
        if image.shape[:2] != self.size:
            found, wanted = size_text(image.shape[:2]), size_text(self.size)
            raise InputError(
                f"is {found}, but the first frame of its folder is {wanted}",
                where=path,
                fix="resize the frame, or put frames of different sizes into different folders",
            )
        return image


def open_frames(sequence: FrameSequence) -> FrameReader:
    """Open the reader of a sequence; nothing is decoded yet.

    Raises:
        InputError: the sequence holds no frames, or two of them with the same stem.
    """
    if sequence.video is not None:
        return VideoFrames(sequence.video)
    return FolderFrames(sequence.frames, sequence.name)


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Give a sort key that puts `2.jpg` before `10.jpg`, and `b` before `C`.

    Args:
        name: a file name or a POSIX path.
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    key = tuple((0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts)
    return key, name


def check_unique_stems(files: tuple[Path, ...]) -> None:
    """Refuse two files that would share a name in the output.

    Raises:
        InputError: two files have the same stem, as `a.jpg` and `a.png` do.
    """
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f"has the same name as {other.name} but for the suffix",
                where=path,
                fix="rename or move one of the two: outputs are named after the stem",
            )


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image file as RGB, upright.

    The EXIF orientation is applied. Grey, palette, CMYK and 16-bit images (0..65535 to 0..255) are
    converted; transparency shows black.

    Args:
        path: a file in any format that Pillow reads; of several pages the first is taken.

    Returns:
        (H,W,3) uint8 RGB.

    Raises:
        InputError: the file is absent, empty, truncated, too large or not an image.
    """
    with opened_image(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in {"I", "F"} or upright.mode.startswith("I;16"):
            grey = _grey_to_8_bit(np.asarray(upright), path)
            return np.repeat(grey[..., None], 3, axis=2)
        if upright.has_transparency_data:
            rgba = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
        return np.array(upright.convert("RGB"))


def read_image_size(path: Path) -> tuple[int, int]:
    """Read the size of an image from its header, EXIF orientation applied.

    Returns:
        (H, W) in pixels.

    Raises:
        InputError: the file is absent, empty or not an image.
    """
    with opened_image(path) as image:
        width, height = image.size
        on_its_side = image.getexif().get(EXIF_ORIENTATION) in _ORIENTATIONS_ON_THEIR_SIDE
        return (width, height) if on_its_side else (height, width)


@contextmanager
def opened_image(path: Path) -> Iterator[Image.Image]:
    """Open an image with Pillow; its errors, while decoding too, name the file.

    Raises:
        InputError: the file is absent, empty, truncated, too large or not an image.
    """
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError as error:
        raise InputError("does not exist", where=path, fix="check the path") from error
    except IsADirectoryError as error:
        raise InputError("is a folder, not an image", where=path, fix="give an image file") from error
    except PermissionError as error:
        raise InputError("may not be read", where=path, fix="set its permissions") from error
    except UnidentifiedImageError as error:
        found = "is empty (0 bytes)" if path.stat().st_size == 0 else "is not an image that can be read"
        raise InputError(found, where=path, fix="replace or remove the file") from error
    except Image.DecompressionBombError as error:
        raise InputError("is too large to be opened safely", where=path, fix="make it smaller") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        what = f"is damaged or truncated ({error})"
        raise InputError(what, where=path, fix="replace or remove the file") from error


def size_text(size: tuple[int, ...]) -> str:
    """Write a size (H, W) the way people read it, `width x height`."""
    return f"{size[1]}x{size[0]}"


def _grey_to_8_bit(grey: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.uint8]:
    """Scale by the full range of the type, not by the content, so that frames keep their brightness."""
    if np.issubdtype(grey.dtype, np.integer):
        values = grey.astype(np.float64) / 257.0
    else:
        values = grey.astype(np.float64) * 255.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255.5:
        raise InputError(
            "holds values outside 0..65535 (integers) or 0..1 (floating point)",
            where=path,
            fix="convert it to 8 or 16 bits",
        )
    return np.rint(values).clip(0, 255).astype(np.uint8)
