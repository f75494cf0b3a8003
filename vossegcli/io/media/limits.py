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
    """The whole number by which an overlay of an image (H,W,...) is scaled down so that it is not too large."""
    height, width = shape[:2]
    return max(math.ceil(math.sqrt(height * width / LARGEST_OVERLAY)), -(-max(height, width) // LONGEST_JPEG), 1)


def reduction_note(shape: Sequence[int]) -> tuple[str, ...]:
    """Say so, for the record of the run."""
    factor = overlay_reduction(shape)
    if factor == 1:
        return ()
    width, height = -(-shape[1] // factor), -(-shape[0] // factor)
    return (f"overlay image scaled down to {width}x{height}, 1/{factor}",)
