"""Single image files.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3).
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from vossegcli.errors import InputError

EXIF_ORIENTATION = 0x0112
_ORIENTATIONS_ON_THEIR_SIDE = frozenset({5, 6, 7, 8})


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
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels(path) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        what = f"is damaged or truncated ({error})"
        raise InputError(what, where=path, fix="replace or remove the file") from error


def limit_pixels(count: int) -> None:
    """Refuse images of more pixels from now on, before they are decoded: a small file can hold a huge image.

    The limit is Pillow's own, one for the whole process.
    """
    Image.MAX_IMAGE_PIXELS = count
    warnings.simplefilter("error", Image.DecompressionBombWarning)  # Pillow itself refuses from twice as many on


def check_pixels(path: Path, height: int, width: int) -> None:
    """Refuse a picture of a size that the limit does not allow.

    Raises:
        InputError: it has too many pixels.
    """
    if Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS:
        raise too_many_pixels(path)


def too_many_pixels(path: Path) -> InputError:
    """The error of a picture with too many pixels."""
    limit = Image.MAX_IMAGE_PIXELS or 0
    return InputError(
        f"is too large, with more than {limit / 1e6:g} million pixels",
        where=path,
        fix="make it smaller, or raise --max-pixels",
    )


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
