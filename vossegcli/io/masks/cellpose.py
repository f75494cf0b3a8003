"""Masks of Cellpose's `<image>_seg.npy`: a pickled dictionary, of which plain arrays alone are read.

Shapes: H W pixels.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError

SEG_SUFFIX = "_seg.npy"
_LARGEST_ID = 65535
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_ALLOWED = frozenset(
    {(module, name) for module in _NUMPY for name in ("_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer")}
    | {("_codecs", "encode")}
)


class _ArraysOnly(pickle.Unpickler):  # noqa: S301 - nothing but NumPy arrays can be made
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as the base class
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no plain array")
        return super().find_class(module, name)


def read_cellpose_masks(path: Path) -> npt.NDArray[np.uint16]:
    """Read the ids (H,W) of a `_seg.npy`.

    Raises:
        InputError: it cannot be read, holds more than arrays and numbers, or no masks of one image.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            content = np.asarray(_ArraysOnly(file).load()).item()
            masks = np.asarray(content["masks"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, pickle.UnpicklingError, AttributeError) as error:
        what = f"is no '_seg.npy' of Cellpose ({error})"
        raise InputError(what, where=path, fix="save the masks as PNG or TIFF in Cellpose") from error
    if masks.ndim != 2 or masks.dtype.kind not in "iu" or masks.size == 0:
        what = f"holds masks of shape {masks.shape} and type {masks.dtype}"
        raise InputError(what, where=path, fix="give masks of one image")
    if masks.min() < 0 or masks.max() > _LARGEST_ID:
        raise InputError(f"holds ids beyond 0..{_LARGEST_ID}", where=path, fix="number the objects again")
    return masks.astype(np.uint16)
