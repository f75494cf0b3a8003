"""Sides that JPEG and H.264 can hold; longer pictures are scaled down, which is noted. Likewise overlays of slides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

LONGEST_JPEG: Final = 65_500  # pixels; libjpeg writes no longer side
LONGEST_H264: Final = 16_384  # pixels; x264 takes no longer side
LONGEST_PRORES: Final = 16_384  # pixels; decoders take no longer side
LARGEST_OVERLAY: Final = 100_000_000  # pixels; viewers of pictures open few larger ones


def fitted_size(shape: Sequence[int], longest: int) -> tuple[int, int]:
    """Scale (H,W,...) down so that no side is longer than `longest`; smaller ones stay as they are."""
    height, width = shape[:2]
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def scaling_notes(shape: Sequence[int], *, images: bool, video: bool) -> tuple[str, ...]:
    """Say which pictures of frames (H,W,...) are scaled down, for the record of the run.

    Args:
        shape: of a frame.
        images: JPEG overlays are written.
        video: an H.264 video is written.
    """
    notes = []
    for wanted, kind, longest in ((images, "overlay images", LONGEST_JPEG), (video, "overlay video", LONGEST_H264)):
        height, width = fitted_size(shape, longest)
        if wanted and (height, width) != tuple(shape[:2]):
            notes.append(f"{kind} scaled down to {width}x{height}, the largest size of the format")
    return tuple(notes)


def overlay_reduction(shape: Sequence[int]) -> int:
    """The whole number by which an overlay of an image (H,W,...) is scaled down so that it has not too many pixels."""
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / LARGEST_OVERLAY)))


def reduced_shape(shape: Sequence[int], factor: int) -> tuple[int, int]:
    """Sides of an image (H,W,...) that is scaled down by a whole number, rounded up."""
    return -(-shape[0] // factor), -(-shape[1] // factor)


def overlay_notes(shape: Sequence[int]) -> tuple[str, ...]:
    """Say how an overlay of an image (H,W,...) is scaled down, for the record of the run."""
    factor = overlay_reduction(shape)
    height, width = reduced_shape(shape, factor)
    by_a_number = () if factor == 1 else (f"overlay image scaled down to {width}x{height}, 1/{factor}",)
    return (*by_a_number, *scaling_notes((height, width), images=True, video=False))
