"""Pictures made of results: overlays, cut-outs, probabilities.

Shapes: H W pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from vossegcli.errors import InputError
from vossegcli.io.masks.palette import PALETTE, palette_rows
from vossegcli.io.media.limits import LONGEST_JPEG, fitted_size
from vossegcli.io.records.atomic import atomic_path

_OUTLINE_LIGHTENING = 0.55
_THICK_OUTLINE_FROM = 720  # pixels of the shorter side
_PNG_COMPRESSION = 3
_STRIPE = 1024  # rows that are drawn at a time
WIDEST_CAPTION = 1.25  # of its object


def outline_width(size: tuple[int, int]) -> int:
    """Width of outlines in an image (H,W): one pixel, two on frames of 720 pixels and more."""
    return 2 if min(size) >= _THICK_OUTLINE_FROM else 1


def draw_overlay(
    image: npt.NDArray[np.uint8], ids_map: npt.NDArray[np.integer], alpha: float = 0.5, outline: int | None = None
) -> npt.NDArray[np.uint8]:
    """Tint each object in its palette colour and outline it in a lighter one.

    The outline lies inside the object.

    Args:
        image: (H,W,3) uint8 RGB.
        ids_map: (H,W) object ids, 0 = background.
        alpha: weight of the colour, 0..1.
        outline: width in pixels; None = that for an image of this size.

    Returns:
        (H,W,3) uint8 RGB, a new array.

    Raises:
        ValueError: image and label map differ in size.
    """
    if image.shape[:2] != ids_map.shape:
        raise ValueError(f"image {image.shape} and label map {ids_map.shape} differ in size")
    width = outline_width((ids_map.shape[0], ids_map.shape[1])) if outline is None else outline
    drawn = image.copy()
    for top in range(0, ids_map.shape[0], _STRIPE):  # temporary arrays of a whole slide would take gigabytes
        first, last = max(top - width, 0), min(top + _STRIPE + width, ids_map.shape[0])
        edge = _inner_outline(ids_map[first:last], width)[top - first :][:_STRIPE]
        _draw_stripe(drawn[top : top + _STRIPE], ids_map[top : top + _STRIPE], edge, alpha)
    return drawn


def _draw_stripe(
    drawn: npt.NDArray[np.uint8], ids_map: npt.NDArray[np.integer], outline: npt.NDArray[np.bool_], alpha: float
) -> None:
    """Tint and outline the objects of some rows, in place."""
    inside = ids_map > 0
    colors = PALETTE.astype(np.float32)
    light = colors + (255.0 - colors) * _OUTLINE_LIGHTENING
    tint = (1.0 - alpha) * drawn[inside] + alpha * colors[palette_rows(ids_map[inside])]
    drawn[inside] = np.rint(tint).clip(0, 255).astype(np.uint8)
    drawn[outline] = np.rint(light[palette_rows(ids_map[outline])]).astype(np.uint8)


class Caption(NamedTuple):
    """A text on a picture, from its upper left corner (x, y) on, for an object of a width, and a shorter one."""

    x: int
    y: int
    width: int
    text: str
    short: str = ""


def add_captions(image: npt.NDArray[np.uint8], captions: Sequence[Caption]) -> None:
    """Write texts, white on dark, into a picture (H,W,3), the shorter ones where they are much wider than their object.

    Those that are still too wide are left out: hundreds of small objects would disappear under theirs. The picture is
    changed in place, for an overlay of a slide takes hundreds of megabytes.
    """
    height, width = image.shape[:2]
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)), "RGBA")
    for x, y, widest, *texts in captions:
        fitting = [text for text in texts if text and ruler.textbbox((0, 0), text)[2] <= WIDEST_CAPTION * widest]
        if not fitting:
            continue
        text = fitting[0]
        left, top, right, bottom = ruler.textbbox((0, 0), text)
        x = max(0, min(x, width - int(right) - 4))
        y = max(0, min(y, height - int(bottom) - 4))
        part = image[y : y + int(bottom) + 4, x : x + int(right) + 4]
        label = Image.fromarray(part)
        draw = ImageDraw.Draw(label, "RGBA")
        draw.rectangle((0, 0, right - left + 3, bottom + 2), fill=(0, 0, 0, 150))
        draw.text((2, 0), text, fill=(255, 255, 255, 255))
        part[:] = np.asarray(label)


def write_image(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write a picture atomically, as JPEG (quality 92, full colour resolution) or PNG by its suffix.

    A JPEG of more than 65,500 pixels a side, which the format cannot hold, is scaled down.

    Args:
        path: the file to write, `.jpg`, `.jpeg` or `.png`.
        image: (H,W,3) uint8 RGB, (H,W) uint8 grey, or, for PNG only, (H,W,4) uint8 RGBA.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    picture = Image.fromarray(np.ascontiguousarray(image))
    suffix = path.suffix.lower()
    if suffix not in {".jpg", ".jpeg", ".png"}:
        raise InputError("is neither a .jpg nor a .png name", where=path, fix="choose one of the two")
    with atomic_path(path) as temporary:
        if suffix == ".png":
            picture.save(temporary, format="PNG", compress_level=_PNG_COMPRESSION)
        else:
            height, width = fitted_size(image.shape, LONGEST_JPEG)
            if (height, width) != image.shape[:2]:
                picture = picture.resize((width, height), Image.Resampling.BOX)
            picture.save(temporary, format="JPEG", quality=92, subsampling=0)


def write_probability(path: Path, probs: npt.NDArray[np.floating]) -> None:
    """Write probabilities as an 8-bit grey PNG, 255 = 1.

    Args:
        path: the file to write, atomically; `.png`.
        probs: (H,W) in [0, 1]; values outside are clipped.

    Raises:
        InputError: the file cannot be written.
    """
    grey = np.rint(probs.astype(np.float32).clip(0.0, 1.0) * 255.0).astype(np.uint8)
    write_image(path, grey)


#: Colours that people with any colour vision tell apart (Okabe and Ito): right, predicted in vain, missed.
ERROR_COLORS = {"right": (0, 114, 178), "wrong": (230, 159, 0), "missed": (204, 121, 167)}
_NO_ERROR = (40, 40, 40)


def draw_errors(
    image: npt.NDArray[np.uint8] | None, truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint8]:
    """Colour where a prediction is right, predicts what is not there (or another object), and misses an object.

    Args:
        image: (H,W,3) uint8 RGB below the colours, or None for grey.
        truth: (H,W) object ids.
        predicted: (H,W) object ids.

    Returns:
        (H,W,3) uint8 RGB.
    """
    right, missed = (truth > 0).view(np.uint8), (predicted == 0).view(np.uint8)
    kinds = np.where(truth == predicted, right, 2 + missed)  # 0, or the number of a colour
    if image is None:
        picture = Image.fromarray(kinds)
        picture.putpalette([value for color in (_NO_ERROR, *ERROR_COLORS.values()) for value in color])
        return np.array(picture.convert("RGB"))
    drawn = image // 2
    for kind, color in enumerate(ERROR_COLORS.values(), start=1):
        area = kinds == kind
        drawn[area] = (0.35 * drawn[area] + 0.65 * np.array(color, np.float32)).astype(np.uint8)
    return drawn


def _inner_outline(ids_map: npt.NDArray[np.integer], width: int) -> npt.NDArray[np.bool_]:
    """Mark the object pixels (H,W) within `width` steps of another id; the frame's border is none."""
    outline = np.zeros(ids_map.shape, dtype=np.bool_)
    for step in range(1, width + 1):
        for first, second in ((np.s_[:, step:], np.s_[:, :-step]), (np.s_[step:], np.s_[:-step])):
            differs = ids_map[first] != ids_map[second]
            outline[first] |= differs
            outline[second] |= differs
    return outline & (ids_map > 0)


def data_uri(image: npt.NDArray[np.uint8], *, width: int | None = None, quality: int = 85) -> str:
    """Encode an image (H,W,3) uint8 as a JPEG data URI, for reports in one file.

    Args:
        image: (H,W,3) uint8 RGB.
        width: of the picture in pixels at most; None = as it is.
        quality: of the JPEG.
    """
    picture = Image.fromarray(image)
    if width is not None:
        picture.thumbnail((width, 4 * width), Image.Resampling.BOX, reducing_gap=1.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
