"""The pages of a TIFF file that is an image stack: plain, ImageJ, OME, BigTIFF, one page in memory at a time.

Shapes: H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tifffile

from vossegcli.errors import InputError, VossegError
from vossegcli.io.media.cut_stacks import CutStack, cut_tiff
from vossegcli.io.media.images import TIFF_SIGNATURES, check_pixels, is_negative

Page = npt.NDArray[Any]

_PAGE_AXES = frozenset("YXS")
_SLIDE_KINDS = frozenset({"svs", "ndpi", "scn", "bif", "philips", "qpi"})


@dataclass(frozen=True)
class StackLayout:
    """Arrangement of the pages of a stack.

    Attributes:
        axes: letters of the axes above those of a page.
        shape: their lengths.
        size: (H, W) of a page.
        channels: names of the channels, if known.
        kind: where the pages are: in the first `series` of a TIFF, all over the `file`, in one `block` of samples,
            or in an `animation`.
        page_axes: letters of the axes of a page.
        page_shape: their lengths.
        offset: of a block, in bytes.
        dtype: of the samples.
        palette: (256,3) uint8 colours that the samples stand for, or None.
        is_negative: the greatest value means black, in integers.
        cut: note on a file that is cut off, or None.
    """

    axes: str
    shape: tuple[int, ...]
    size: tuple[int, int]
    channels: tuple[str, ...] = ()
    kind: Literal["series", "file", "block", "animation"] = "animation"
    page_axes: str = "YX"
    page_shape: tuple[int, ...] = ()
    offset: int = 0
    dtype: str = "|u1"
    palette: npt.NDArray[np.uint8] | None = None
    is_negative: bool = False
    cut: str | None = None

    @property
    def count(self) -> int:
        """Number of pages."""
        return math.prod(self.shape)


def is_tiff(path: Path) -> bool:
    """Return True if a file begins as TIFF files do."""
    try:
        with path.open("rb") as file:
            return file.read(4) in TIFF_SIGNATURES
    except OSError:
        return False


def tiff_layout(path: Path) -> StackLayout:
    """Read how the pages of a TIFF file are arranged.

    Raises:
        InputError: the file cannot be read, or holds pages that do not belong together.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return _layout_of(file, path)
    except VossegError:
        raise
    except Exception as error:  # noqa: BLE001 - of all kinds on damaged files
        what = f"is not a TIFF file that can be read ({error or type(error).__name__})"
        raise InputError(what, where=path, fix="save it again, or give a whole copy") from error


def tiff_pages(path: Path, layout: StackLayout, numbers: Sequence[int]) -> Iterator[Page]:
    """Give pages by their numbers, (H,W) or (H,W,C), as stored."""
    if layout.kind == "block":
        block = np.memmap(path, np.dtype(layout.dtype), "r", layout.offset, (layout.count, *layout.page_shape))
        for number in numbers:
            yield _color_last(np.array(block[number]), layout)
        return
    import imageio.v3 as iio  # takes long, and most inputs are no stacks

    index = 0 if layout.kind == "series" else ...
    opened: Any = iio.imopen(path, "r", plugin="tifffile")
    with opened as file:
        for number in numbers:
            try:
                page: Page = file.read(index=index, page=number)
            except (ValueError, KeyError, ImportError) as error:  # a compression that tifffile alone does not decode
                page = _page_of_pillow(path, layout, number, error)
            yield _color_last(page, layout)


def _page_of_pillow(path: Path, layout: StackLayout, number: int, reason: Exception) -> Page:
    """Decode a page with Pillow, if it gives all its bits."""
    import imageio.v3 as iio  # takes long, and most inputs are no stacks

    mode = "P" if layout.palette is not None else None
    opened: Any = iio.imopen(path, "r", plugin="pillow")
    with opened as file:
        page: Page = file.read(index=number, mode=mode)
    if page.dtype.itemsize < np.dtype(layout.dtype).itemsize:
        raise reason
    return page.astype(np.dtype(layout.dtype), copy=False)


def _color_last(page: Page, layout: StackLayout) -> Page:
    """Put the colours behind the pixels."""
    if page.ndim == 3 and layout.page_axes.startswith("S") and page.shape[:2] != layout.size:
        return np.moveaxis(page, 0, 2)
    return page


def _layout_of(file: tifffile.TiffFile, path: Path) -> StackLayout:
    cut = cut_tiff(file, path)
    if cut is not None and cut.count:
        return _layout_of_rest(file, cut)
    series = [one for one in file.series if not one.keyframe.is_reduced] or list(file.series)
    first = series[0]
    series = series[:1] if _is_slide(series) else series
    if len({(one.shape, str(one.dtype)) for one in series}) > 1:
        shapes = ", ".join("x".join(map(str, one.shape)) for one in series[:4])
        what = f"holds {len(series)} series of different shapes ({shapes})"
        raise InputError(what, where=path, fix="save the one that is meant into a file of its own")
    above = next((place for place, axis in enumerate(first.axes) if axis in _PAGE_AXES), len(first.axes))
    page_axes, page_shape = first.axes[above:], tuple(int(length) for length in first.shape[above:])
    sizes = dict(zip(page_axes, page_shape, strict=True))
    if first.dtype is None or not {"Y", "X"} <= set(sizes) <= _PAGE_AXES:
        what = f"has axes {first.axes}, of which the last are not those of a picture"
        raise InputError(what, where=path, fix="save it with the axes Y and X last")
    check_pixels(path, sizes["Y"], sizes["X"])
    axes, shape = first.axes[:above], tuple(int(length) for length in first.shape[:above])
    kind, offset = _place(file, series, math.prod(shape), path)
    if kind == "file":
        axes, shape = "I" + axes, (len(series), *shape)
    dtype = first.dtype.newbyteorder(file.byteorder).str
    size = (sizes["Y"], sizes["X"])
    return StackLayout(
        axes, shape, size, _names(file), kind, page_axes, page_shape, offset, dtype, _palette(first.keyframe),
        is_negative(first.keyframe),
    )  # fmt: skip


def _layout_of_rest(file: tifffile.TiffFile, cut: CutStack) -> StackLayout:
    """Lay out the pages that are whole in a file that is cut off; how they were arranged is no longer known."""
    page = file.pages.first.keyframe
    sizes = dict(zip(page.axes, page.shape, strict=True))
    dtype = np.dtype(page.dtype or np.uint8).newbyteorder(file.byteorder).str
    return StackLayout(
        "I", (cut.count,), (sizes["Y"], sizes["X"]), (), "file" if cut.offset is None else "block", page.axes,
        tuple(page.shape), cut.offset or 0, dtype, _palette(page), is_negative(page), cut.note,
    )  # fmt: skip


def _is_slide(series: Sequence[tifffile.TiffPageSeries]) -> bool:
    """Return True if a file is one picture in several sizes, with smaller pictures of it: a label, an overview."""
    first, *others = series
    return (
        len(first.pages) == 1
        and first.keyframe.is_tiled
        and (len(first.levels) > 1 or first.kind in _SLIDE_KINDS)
        and all(math.prod(one.shape) < math.prod(first.shape) for one in others)
    )


def _place(
    file: tifffile.TiffFile, series: Sequence[tifffile.TiffPageSeries], count: int, path: Path
) -> tuple[Literal["series", "file", "block"], int]:
    """Say where the pages are, and the offset of a block in bytes."""
    pages = len(series[0].pages)
    if len(series) > 1:
        if count > 1:
            what = f"holds {len(series)} series of {count} pages"
            raise InputError(what, where=path, fix="save the one that is meant into a file of its own")
        return "file", 0
    if pages == count:
        return "series", 0
    if series[0].dataoffset is None or path.stat().st_size < series[0].dataoffset + series[0].nbytes:
        what = f"ends after {len(file.pages)} of {count} pages"
        raise InputError(what, where=path, fix="give a whole copy")
    return "block", int(series[0].dataoffset)


def _palette(keyframe: Any) -> npt.NDArray[np.uint8] | None:  # noqa: ANN401 - a page of tifffile
    """Colours of a palette of 8 bits."""
    colors = getattr(keyframe, "colormap", None)
    if colors is None or keyframe.photometric != tifffile.PHOTOMETRIC.PALETTE or colors.shape[1] != 256:  # noqa: PLR2004
        return None
    shift = 8 if colors.max() > np.iinfo(np.uint8).max else 0
    return np.ascontiguousarray((colors >> shift).T.astype(np.uint8))


def _names(file: tifffile.TiffFile) -> tuple[str, ...]:
    """Names of the channels as OME writes them."""
    if not file.is_ome or file.ome_metadata is None:
        return ()
    try:
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        channels = (image[0] if isinstance(image, list) else image)["Pixels"]["Channel"]
        return tuple(str(channel["Name"]) for channel in (channels if isinstance(channels, list) else [channels]))
    except (KeyError, TypeError, IndexError, ValueError):
        return ()
