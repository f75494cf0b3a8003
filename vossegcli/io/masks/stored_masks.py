"""The stored values of a mask file, before anybody decides what they mean.

Shapes: H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageOps

from vossegcli.errors import InputError
from vossegcli.io.masks.cut_outs import alpha_is_mask, opacity, shown_over_black
from vossegcli.io.masks.indexed_images import read_indexed
from vossegcli.io.media.endings import check_end
from vossegcli.io.media.images import TIFF_SIGNATURES, opened_image, read_samples
from vossegcli.io.media.stacks import is_stack

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WIDE = 64
_BYTE, _BYTE_TWICE = 8, 257  # bits; what a byte is multiplied with to fill 16
_COLORS = 3
_PNG_GREY, _PNG_RGB, _PNG_GREY_ALPHA = 0, 2, 4


@dataclass(frozen=True)
class StoredMask:
    """Content of a mask file.

    Attributes:
        pixels: (H,W) uint8 or uint16 palette indices or grey samples, or (H,W,3) uint8 RGB with transparent
            pixels black.
        white: the greatest sample of a grey image, which stands for white; 255 for a palette.
        kind: what the samples are: indices of a palette, grey levels or colours.
        lossy: whether the format changes values (JPEG, lossy WebP).
        note: what a reader should know about the palette or the alpha channel, or None.
        colors: (N,3) uint8, the palette of `kind` palette where it is not the DAVIS palette, else None.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    white: int
    kind: Literal["palette", "grey", "color"]
    lossy: bool
    note: str | None = None
    colors: npt.NDArray[np.uint8] | None = None


def read_stored_mask(path: Path) -> StoredMask:
    """Read the values of a mask as they are in the file: indices of a palette, samples of a grey image.

    Pillow is asked for neither conversion nor scaling: `.convert("L")` would turn indices into luminance,
    and 2- and 4-bit grey samples are scaled to 0..255 by it, which is undone here.

    Args:
        path: an image file.

    Returns:
        the stored values.

    Raises:
        InputError: the file cannot be read, or holds samples that are no ids.
    """
    if is_stack(path):
        fix = "give it for a whole video with --mask, or save the page that is meant"
        raise InputError("holds several pages, and a mask of one frame has one", where=path, fix=fix)
    wide = _wide_samples(path)
    if wide is not None:
        return StoredMask(_as_uint16(wide, path), 65535, "grey", lossy=False)
    check_end(path)
    with opened_image(path) as image:
        lossy = _is_lossy(image, path)
        depth, color_type = png_header(path)
        if depth == 16 and color_type == _PNG_GREY_ALPHA:
            raise InputError(
                "is a 16-bit grey image with an alpha channel, whose ids cannot be read exactly",
                where=path,
                fix="save it without the alpha channel",
            )
        upright = ImageOps.exif_transpose(image)
        if upright.mode in {"P", "PA"}:
            indexed = read_indexed(upright)
            return StoredMask(indexed.pixels, 255, indexed.kind, lossy, indexed.note, indexed.colors)
        if upright.mode == "1":
            return StoredMask(np.array(upright).astype(np.uint8), 1, "grey", lossy)
        if upright.mode == "L":
            white = 2**depth - 1 if depth < 8 and color_type == _PNG_GREY else 255
            levels = np.array(upright) // np.uint8(255 // white)
            key = upright.info.get("transparency")  # the one transparent level of a grey PNG, as it is in the file
            return StoredMask(np.where(levels == key, 0, levels) if key else levels, white, "grey", lossy)
        if upright.mode in {"I", "F"} or upright.mode.startswith("I;16"):
            return StoredMask(_as_uint16(np.asarray(upright), path), 65535, "grey", lossy)
        if upright.mode == "LA" or upright.has_transparency_data:
            return _without_alpha(upright, lossy=lossy)
        return StoredMask(np.array(upright.convert("RGB")), 255, "color", lossy)


def png_header(path: Path) -> tuple[int, int]:
    """Give bit depth and colour type of a PNG; (8, -1) for other files."""
    with path.open("rb") as file:
        header = file.read(26)
    if len(header) < 26 or not header.startswith(_PNG_SIGNATURE):
        return 8, -1
    return header[24], header[25]


def _wide_samples(path: Path) -> npt.NDArray[np.generic] | None:
    """Read the samples (H,W) of a file of which Pillow does not give all bits; None = it does, or they are colours.

    Raises:
        InputError: three a pixel are neither one mask nor colours of 8 bits.
    """
    kind = _kind_of_samples(path)
    if kind == "plain":
        return None
    samples = read_samples(path)
    if kind == "rare":
        return samples
    if samples.dtype == np.uint16 and not (samples % _BYTE_TWICE).any():
        return None
    if (samples == samples[..., :1]).all():
        return samples[..., 0]
    what = "holds three values a pixel that differ, of more than 8 bits"
    fix = (
        "save a mask with one value a pixel, and a stack of masks with a page each (tifffile: photometric='minisblack')"
    )
    raise InputError(what, where=path, fix=fix)


def _kind_of_samples(path: Path) -> Literal["plain", "rare", "triple"]:
    """Tell files of which Pillow does not give all bits.

    Rare are 64 bits, or floating point of 16; triple are three samples a pixel of more than 8 bits.
    """
    try:
        depth, color_type = png_header(path)
        if color_type == _PNG_RGB and depth > _BYTE:
            return "triple"
        with path.open("rb") as file:
            if file.read(4) not in TIFF_SIGNATURES:
                return "plain"
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            if page.samplesperpixel == 1 and (page.bitspersample == _WIDE or page.dtype == np.float16):
                return "rare"
            return "triple" if page.samplesperpixel == _COLORS and page.bitspersample > _BYTE else "plain"
    except Exception:  # noqa: BLE001 - Pillow says what is wrong
        return "plain"


def _is_lossy(image: Image.Image, path: Path) -> bool:
    if image.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8L" not in file.read(4096)
    return image.format in {"JPEG", "MPO", "JPEG2000"} or image.info.get("compression") == "jpeg"


def _as_uint16(samples: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.uint16]:
    """Take 16- and 32-bit samples, also floating point, that are ids."""
    exact = samples.astype(np.float64)
    if not ((exact >= 0) & (exact <= 65535) & (exact == np.floor(exact))).all():
        raise InputError(
            "holds values that are no ids (whole numbers 0..65535)",
            where=path,
            fix="save it as an 8- or 16-bit label map",
        )
    return samples.astype(np.uint16)


def _without_alpha(image: Image.Image, *, lossy: bool) -> StoredMask:
    """Read an image with an alpha channel: the alpha of a cut-out, else the colours over black."""
    is_grey = image.mode == "LA"
    samples = np.array(image if is_grey else image.convert("RGBA"))
    values, alpha = samples[..., :-1], samples[..., -1]
    if alpha_is_mask(values, alpha):
        return StoredMask(opacity(alpha), 255, "grey", lossy, "the alpha channel was read as the mask")
    shown = shown_over_black(values, alpha)
    return StoredMask(shown[..., 0], 255, "grey", lossy) if is_grey else StoredMask(shown, 255, "color", lossy)
