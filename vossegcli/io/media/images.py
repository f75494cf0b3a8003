"""Single image files, with all their bits or as 8-bit RGB, upright.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3); samples are those, or (H,W) or (H,W,3) of more than 8 bits.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from vossegcli.errors import InputError
from vossegcli.io.media.array_frames import ARRAY_SIGNATURE, open_array
from vossegcli.io.media.depth import RangeChoice, Samples, is_deep, scale_image
from vossegcli.io.media.endings import check_end
from vossegcli.io.media.orientation import EXIF_ORIENTATION, ON_THEIR_SIDE, orientation_of, upright_samples

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLORS = frozenset({2, 4, 6})  # RGB, grey with alpha, RGBA: of these Pillow gives the upper 8 bits alone
_DEEP_PNG = 16
_HEADER = 26
_BITS_PER_SAMPLE = 258
_BYTE = 8
_BAND_PIXELS = 1 << 24
_ALPHA = 4


def read_image(path: Path, choice: RangeChoice = None) -> npt.NDArray[np.uint8]:
    """Read an image file as RGB, upright; more than 8 bits are scaled.

    Args:
        path: a file in any format that Pillow or tifffile reads, or a `.npy`; of several pages the first is taken.
        choice: the range of values that is shown, for more than 8 bits; None = that of the image's content.

    Returns:
        (H,W,3) uint8 RGB; transparency shows black.

    Raises:
        InputError: the file is absent, empty, truncated, too large or not an image.
    """
    return scale_image(read_samples(path), choice)[0]


def read_samples(path: Path) -> Samples:
    """Read a picture with all its bits, the EXIF orientation applied.

    Args:
        path: a file in any format that Pillow or tifffile reads, or a `.npy`; of several pages the first is taken.

    Returns:
        (H,W,3) uint8 RGB, transparency shown over black, or samples of more than 8 bits, (H,W) or (H,W,3).

    Raises:
        InputError: the file is absent, empty, truncated, too large or not an image.
    """
    signature = _start(path)
    if signature.startswith(ARRAY_SIGNATURE):
        return page_samples(np.array(_array(path)), path)
    if signature.startswith(_PNG_SIGNATURE) and signature[24:25] == bytes([_DEEP_PNG]) and signature[25] in _PNG_COLORS:
        return _deep_png(path)
    if signature[:4] in TIFF_SIGNATURES and not _is_plain_tiff(path):
        return _tiff(path)
    check_end(path)
    with opened_image(path) as image:
        turned = orientation_of(image) != 1
        upright = ImageOps.exif_transpose(image) if turned else image  # it copies in any case
        return np.array(upright) if is_deep_grey(upright) else rgb_over_black(upright)


def rgb_over_black(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert a picture of up to 8 bits to (H,W,3) RGB; what is transparent shows black."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    if image.width * image.height <= _BAND_PIXELS:
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    image.load()
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):  # a large image is not in memory three times on its way
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgb[top : top + rows] = np.asarray(band.convert("RGB"))
    return rgb


def page_samples(page: npt.NDArray[Any], where: str | Path) -> Samples:
    """Take a page of a stack for a frame.

    Args:
        page: (H,W), (H,W,1), (H,W,3) or (H,W,4), of any type of real numbers.
        where: to say in an error.

    Raises:
        InputError: it is something else.
    """
    if page.ndim == 3 and page.shape[2] == 1:
        page = page[..., 0]
    if page.dtype.kind not in "biuf" or page.ndim not in {2, 3} or (page.ndim == 3 and page.shape[2] not in {3, 4}):
        what = f"holds samples of shape {page.shape} and type {page.dtype}"
        raise InputError(what, where=where, fix="save grey or RGB frames, a page each")
    native = page.astype(page.dtype.newbyteorder("="), copy=False)
    if native.dtype == np.int8 or native.dtype == np.bool_:
        native = native.astype(np.int16) if native.dtype == np.int8 else native.astype(np.uint8) * np.uint8(255)
    native = _over_black(native) if native.ndim == 3 and native.shape[2] == _ALPHA else native
    return native if is_deep(native) or native.ndim == 3 else np.repeat(native[..., None], 3, axis=2)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read the size of an image from its header, EXIF orientation applied.

    Returns:
        (H, W) in pixels.

    Raises:
        InputError: the file is absent, empty or not an image.
    """
    signature = _start(path)
    if signature.startswith(ARRAY_SIGNATURE):
        return _array(path).shape[:2]
    if signature[:4] in TIFF_SIGNATURES and (size := _tiff_size(path)) is not None:
        return size
    with opened_image(path) as image:
        width, height = image.size
        return (width, height) if orientation_of(image) in ON_THEIR_SIDE else (height, width)


@contextmanager
def opened_image(path: Path) -> Iterator[ImageFile.ImageFile]:
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
    what = f"is too large, with more than {limit / 1e6:g} million pixels"
    return InputError(what, where=path, fix="make it smaller, or raise --max-pixels")


def size_text(size: tuple[int, ...]) -> str:
    """Write a size (H, W) the way people read it, `width x height`."""
    return f"{size[1]}x{size[0]}"


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEADER)
    except OSError:
        return b""  # Pillow says what is wrong


def _array(path: Path) -> npt.NDArray[Any]:
    array = open_array(path)
    if array is None or array.ndim < 2:  # noqa: PLR2004 - height and width
        raise InputError("is no NumPy file of a picture", where=path, fix="save (H,W) or (H,W,3) numbers")
    check_pixels(path, *array.shape[:2])
    return array


def _is_plain_tiff(path: Path) -> bool:
    """Return True if Pillow gives all bits of a TIFF file."""
    try:
        with Image.open(path) as image:
            bits = image.tag_v2.get(_BITS_PER_SAMPLE, 1)  # type: ignore[attr-defined]
            return max(bits if isinstance(bits, tuple) else (bits,)) <= _BYTE and not is_deep_grey(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True  # refused when it is opened again
    except (OSError, SyntaxError, ValueError, struct.error):
        return False


def _tiff_size(path: Path) -> tuple[int, int] | None:
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            height, width = int(page.imagelength), int(page.imagewidth)
            turned = page.tags.valueof(EXIF_ORIENTATION, 1) in ON_THEIR_SIDE
    except Exception:  # noqa: BLE001 - Pillow says what is wrong
        return None
    check_pixels(path, height, width)
    return (width, height) if turned else (height, width)


def _tiff(path: Path) -> Samples:
    """Read a TIFF file that Pillow cannot, or not with all bits."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            check_pixels(path, page.imagelength, page.imagewidth)
            orientation = page.tags.valueof(EXIF_ORIENTATION, 1)
            samples = page.asarray()
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - damaged, or compressed in a way that tifffile alone does not decode
        return _grey_tiff(path)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, 2)
    if samples.ndim == 3 and samples.shape[2] == 2 and page.extrasamples:  # grey and alpha
        samples = samples[..., 0]
    samples = page_samples(samples, path)
    return upright_samples(negative(samples) if is_negative(page) else samples, orientation)


def is_negative(page: Any) -> bool:  # noqa: ANN401 - a page of tifffile
    """Return True if the greatest value of a TIFF page of integers means black."""
    return bool(page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and np.dtype(page.dtype).kind in "uib")


def negative(samples: Samples) -> Samples:
    """Turn black into white; integers keep their type."""
    return ~samples


def _grey_tiff(path: Path) -> Samples:
    with opened_image(path) as image:
        if not is_deep_grey(image):
            fix = "save it without compression, or install imagecodecs"
            raise InputError("is compressed in a way that cannot be decoded", where=path, fix=fix)
        return np.array(ImageOps.exif_transpose(image))


def is_deep_grey(image: Image.Image) -> bool:
    """Return True if a picture is grey of more than 8 bits."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _deep_png(path: Path) -> Samples:
    import av  # heavy, and seldom needed here

    with opened_image(path) as image:
        orientation = orientation_of(image)
        image.load()  # Pillow names what is damaged; FFmpeg would show the rest in grey
    try:
        with av.open(f"file:{path}", format="png_pipe") as container:
            frame = next(container.decode(video=0))
            rgba: npt.NDArray[Any] = frame.to_ndarray(format="rgba64le")
    except (av.FFmpegError, StopIteration) as error:
        raise InputError("cannot be decoded", where=path, fix="save it as a PNG or TIFF file again") from error
    return upright_samples(_over_black(rgba), orientation)


def _over_black(rgba: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Show the colours (H,W,3) of (H,W,4) over black, where alpha is of the same type of integers."""
    color, alpha = rgba[..., :3], rgba[..., 3:]
    if rgba.dtype.kind != "u":
        return np.ascontiguousarray(color)
    opaque = np.iinfo(rgba.dtype).max
    if (alpha == opaque).all():
        return np.ascontiguousarray(color)
    return np.rint(color * (alpha / float(opaque))).astype(rgba.dtype)
