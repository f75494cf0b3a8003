"""Image stacks as frames: multi-page TIFF, GIF, animated WebP and PNG, a page at a time.

Shapes: H W pixels. Images are uint8 RGB, (H,W,3).
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.errors import InputError, VossegError
from vossegcli.io.media.cut_stacks import cut_animation
from vossegcli.io.media.depth import RangeChoice, Samples, SequenceDepth
from vossegcli.io.media.images import negative, opened_image, page_samples, size_text
from vossegcli.io.media.stack_axes import AxisChoice, PagePlan, plan_pages
from vossegcli.io.media.tiff_stacks import Page, StackLayout, is_tiff, tiff_layout, tiff_pages
from vossegcli.io.media.timing import Timing, uneven
from vossegcli.types import Frame

_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
_TIMED_BY_DECODING = frozenset({"WEBP", "AVIF"})
_DESCRIPTION = 270
_BACKWARD_BYTES = 256 * 2**20
_MILLISECONDS = 1000


def is_stack(path: Path) -> bool:
    """Return True if an image file holds several frames; False if it cannot be read, which is reported later."""
    tiff = is_tiff(path)
    several = tiff
    with suppress(
        OSError, SyntaxError, ValueError, EOFError, struct.error,
        Image.DecompressionBombError, Image.DecompressionBombWarning,
    ), Image.open(path) as image:  # fmt: skip
        if not tiff and image.format not in _ANIMATED:
            return False
        if image.format == "GIF" and (cut := cut_animation(path)) is not None:
            return cut.count > 1
        several = bool(getattr(image, "is_animated", False))
        if tiff and not several:  # one page may be said to hold many
            description = str(image.tag_v2.get(_DESCRIPTION, ""))  # type: ignore[attr-defined]
            tiff = "images=" in description or "shape" in description
    if not tiff:
        return several
    try:
        layout = tiff_layout(path)
        return layout.count > 1 or layout.cut is not None
    except VossegError:
        return several


class StackFrames:
    """The frames of an image stack, named by their zero-padded index.

    Args:
        path: a TIFF, GIF, WebP or PNG file of several pages. It is opened when something is asked of it.
        choice: the range of values that is shown, for more than 8 bits; None = that of their content.
        axes: what the user said about axes and channels.
    """

    def __init__(self, path: Path, choice: RangeChoice = None, axes: AxisChoice | None = None) -> None:
        self._path, self._choice, self._axes = path, choice, axes or AxisChoice()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`00000`, `00001`, ..., with more digits from 100 000 frames on."""
        digits = max(5, len(str(len(self) - 1)))
        return tuple(f"{index:0{digits}d}" for index in range(len(self)))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every frame."""
        return self._layout.size

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the axes, and on a file that is cut off."""
        return tuple(note for note in (self._plan.note, self._layout.cut) if note is not None)

    @property
    def scaling(self) -> str | None:
        """Note on the scaling of frames of more than 8 bits, or None; some are decoded."""
        return self._depth.note

    @cached_property
    def timing(self) -> Timing:
        """Times of the frames of an animation; 24 frames a second where the file does not tell."""
        if self._layout.kind != "animation":
            return Timing()
        times = [Fraction(0)]
        with opened_image(self._path) as image:
            for index in range(len(self)):
                image.seek(index)
                if image.format in _TIMED_BY_DECODING:
                    image.load()
                times.append(times[-1] + Fraction(round(image.info.get("duration", 0)), _MILLISECONDS))
        if times[-1] == 0:
            return Timing()
        return Timing(float(len(self) / times[-1]), uneven(times[:-1], Fraction(1, 2 * _MILLISECONDS)))

    def __len__(self) -> int:
        """Count the frames.

        Raises:
            InputError: the file cannot be read, or leaves open which pages are its frames.
        """
        return len(self._plan.pages)

    def iterate(self, start: int = 0, stop: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Decode the frames of [start, stop) one by one.

        Args:
            start: index of the first frame of the range.
            stop: index after the last one; None = to the end.
            reverse: give the same frames, last first.

        Raises:
            InputError: a page cannot be decoded, or has another size than the first.
        """
        indices = range(len(self))[start:stop]
        if not reverse:
            yield from self._frames(indices)
            return
        height, width = self.size
        run = max(1, _BACKWARD_BYTES // (3 * height * width)) if self._layout.kind == "animation" else 1
        for last in range(indices.stop, indices.start, -run):
            yield from reversed(list(self._frames(range(max(indices.start, last - run), last))))

    def pages(self, indices: Sequence[int]) -> Generator[Page, None, None]:
        """Give the frames of these indices as they are stored, without colours or scaling.

        Raises:
            InputError: a page cannot be decoded.
        """
        numbers = [number for index in indices for number in self._plan.pages[index]]
        each = len(self._plan.pages[0])
        try:
            pages = self._stored(numbers)
            for _ in indices:
                page = next(pages)
                for _ in range(each - 1):
                    page = np.maximum(page, next(pages))
                yield page
        except VossegError:
            raise
        except Exception as error:  # noqa: BLE001 - tifffile and Pillow raise of all kinds on damaged files
            raise _damaged(self._path, error) from error

    def _stored(self, numbers: Sequence[int]) -> Iterator[Page]:
        if self._layout.kind == "animation":
            return _animation_pages(self._path, numbers)
        return tiff_pages(self._path, self._layout, numbers)

    def _frames(self, indices: range) -> Iterator[Frame]:
        with closing(self.pages(indices)) as pages:
            for index, page in zip(indices, pages, strict=True):
                where = f"{self._path}, page {index}"
                image = self._depth.shown(self._as_samples(page, where), where)
                if image.shape[:2] != self.size:
                    what = f"is {size_text(image.shape)}, but the first page is {size_text(self.size)}"
                    raise InputError(what, where=where, fix="save pages of one size")
                yield Frame(self.names[index], image)

    def _as_samples(self, page: Page, where: str) -> Samples:
        palette = self._layout.palette
        samples = page_samples(page if palette is None or page.ndim != 2 else palette[page], where)
        return negative(samples) if self._layout.is_negative else samples

    @cached_property
    def _layout(self) -> StackLayout:
        if is_tiff(self._path):
            return tiff_layout(self._path)
        cut = cut_animation(self._path)
        with opened_image(self._path) as image:
            count = int(getattr(image, "n_frames", 1)) if cut is None else cut.count
            return StackLayout("T", (count,), (image.height, image.width), cut=None if cut is None else cut.note)

    @cached_property
    def _plan(self) -> PagePlan:
        layout = self._layout
        return plan_pages(layout.axes, layout.shape, self._axes, str(self._path), layout.channels)

    @cached_property
    def _depth(self) -> SequenceDepth:
        return SequenceDepth(len(self), self._samples, self._choice)

    def _samples(self, index: int) -> Samples:
        (page,) = self.pages([index])
        return self._as_samples(page, f"{self._path}, page {index}")


def _animation_pages(path: Path, numbers: Sequence[int]) -> Iterator[Page]:
    """Give pages of a GIF, WebP or PNG file as (H,W,4) RGBA."""
    import imageio.v3 as iio  # takes long, and most inputs are no stacks

    opened: Any = iio.imopen(path, "r", plugin="pillow")
    with opened as file:
        for number in numbers:
            page: npt.NDArray[np.uint8] = file.read(index=number, mode="RGBA")
            yield page


def _damaged(path: Path, error: Exception) -> InputError:
    fix = "save it again, or give a whole copy"
    if "imagecodecs" in str(error):
        fix = "save it without compression or with deflate, or install imagecodecs"
    return InputError(f"cannot be decoded ({error or type(error).__name__})", where=path, fix=fix)
