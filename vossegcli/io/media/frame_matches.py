"""Masks find their frames, by their names or the numbers in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from vossegcli.io.media.frame_numbers import frame_numbers
from vossegcli.io.records.file_names import IMAGE_SUFFIXES

_ROBOFLOW = re.compile(r"_([a-z]{3,4})\.rf\.[0-9A-Za-z]{20,40}$")


def match_frames(stems: Sequence[str], frames: Sequence[str]) -> tuple[dict[str, int], str | None]:
    """Find the frame of each mask: by its name, else by the number in it.

    Args:
        stems: names of the masks.
        frames: names of the frames.

    Returns:
        index of the frame by the name of the mask, without masks of no frame; and what was interpreted.
    """
    index_of = {name: index for index, name in enumerate(frames)}
    exact = {stem: index_of[stem] for stem in stems if stem in index_of}
    cut = {stem: index_of[without_suffix(stem)] for stem in stems if without_suffix(stem) in index_of}  # 00000.jpg.png
    named = exact or cut
    if len(named) == len(stems):
        return named, None
    numbers = _numbers(stems)
    if numbers is None:
        return named, None
    own = frame_numbers(list(frames)) or ()
    by_number = {number: index for index, number in enumerate(own)}
    found = {stem: by_number[n] for stem, n in zip(stems, numbers, strict=True) if n in by_number}
    if len(found) == len(stems) and named.items() <= found.items():  # `05` beside `10` is frame `5`
        told = next(stem for stem in stems if stem not in named)
        return found, f"masks were matched by their numbers: {told} is frame {frames[found[told]]}"
    if named:
        return named, None
    if all(number == int(number) and 0 <= number < len(frames) for number in numbers):
        found = {stem: int(number) for stem, number in zip(stems, numbers, strict=True)}
        return found, f"masks were matched by index, counted from 0: {stems[0]} is frame {frames[found[stems[0]]]}"
    return {}, None


def _numbers(stems: Sequence[str]) -> tuple[Decimal, ...] | None:
    """The number in each name; of a single name, the last."""
    if len(stems) > 1:
        return frame_numbers(list(stems))
    digits = "".join(c if c.isascii() and c.isdigit() else " " for c in stems[0]).split()
    return (Decimal(digits[-1]),) if digits else None


def without_suffix(name: str) -> str:
    """Cut off the suffix of an image that some tools keep in the names of masks, and the hash that Roboflow adds."""
    path = Path(_ROBOFLOW.sub(r".\1", name))
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name
