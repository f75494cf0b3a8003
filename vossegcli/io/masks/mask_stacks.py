"""Masks of several frames from one source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.wording import counted


@dataclass
class MaskStack:
    """Label maps in the order of their frames.

    Attributes:
        maps: pairs of the name of a frame, None where the source does not say which, and its ids (H,W).
        notes: what was interpreted; complete when all maps are read.
    """

    maps: Iterator[tuple[str | None, npt.NDArray[np.integer]]]
    notes: list[str] = field(default_factory=list)


def stack_names(count: int, frames: Sequence[str], path: Path) -> list[str]:
    """The names of the frames that a stack of masks belongs to: one mask a frame, from the first on.

    Raises:
        InputError: there are more masks than frames.
    """
    if not frames:
        return [f"{number:05d}" for number in range(count)]
    if count > len(frames):
        raise InputError(
            f"holds {count} masks for {counted(len(frames), 'frame[|s]')}", where=path, fix="give one mask a frame"
        )
    return list(frames[:count])
