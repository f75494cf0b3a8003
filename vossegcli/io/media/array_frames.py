"""Frames that are NumPy files, an array each.

Shapes: H W pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ARRAY_SIGNATURE = b"\x93NUMPY"
_SHORTEST = 8  # pixels of a side; (4,3) is a table


def open_array(path: Path) -> npt.NDArray[Any] | None:
    """Open the array of a `.npy` file, whose samples are read when they are needed; None if it holds no numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if isinstance(array, np.ndarray) and array.dtype.kind in "biuf" else None


def is_array_frame(path: Path) -> bool:
    """Return True for a `.npy` file of one frame: (H,W), (H,W,1), (H,W,3) or (H,W,4)."""
    if path.suffix.lower() != ".npy":
        return False
    array = open_array(path)
    if array is None or array.ndim not in {2, 3} or min(array.shape[:2]) < _SHORTEST:
        return False
    return array.ndim == 2 or array.shape[2] in {1, 3, 4}  # noqa: PLR2004 - grey, or channels
