"""Opening published checkpoints: torch pickles, read as data only. Nothing else here opens a pickle."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vossegcli.errors import CheckpointError

_DTYPES = [type(np.dtype(t)) for t in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")]
_RECONSTRUCT: Callable[..., Any] = np.float64(0).__reduce__()[0]  # type: ignore[assignment]
#: Errors that torch's unpickler raises on damaged files, apart from its own error.
DAMAGE = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error,
    OverflowError, MemoryError,
)  # fmt: skip
#: Parts of NumPy scalars inside a pickle (the published files store the loss and the seed as such).
NUMPY_SCALARS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_RECONSTRUCT, "numpy.core.multiarray.scalar"),
    (_RECONSTRUCT, "numpy._core.multiarray.scalar"),
    np.dtype,
    *_DTYPES,
]


def read_published(path: Path) -> Mapping[str, object]:
    """Read a published checkpoint's dict with `weights_only=True`: tensors, plain values and NumPy scalars.

    Raises:
        CheckpointError: absent, damaged, or it asks for anything else to be executed.
    """
    if not path.is_file():
        raise CheckpointError("no such file", where=path, fix="check the path")
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS), warnings.catch_warnings(action="ignore"):
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"cannot be loaded as data: {_reason(error)}",
            where=path,
            fix="give a plain checkpoint; code in it is never run",
        ) from error
    except DAMAGE as error:
        raise CheckpointError(
            f"is damaged or no checkpoint ({_first_line(error)})", where=path, fix="download it again"
        ) from error
    if not isinstance(payload, Mapping):
        raise CheckpointError("holds no dict", where=path, fix="give a published checkpoint")
    return payload


def _reason(error: pickle.UnpicklingError) -> str:
    """Say what the file wants, without torch's advice to switch the protection off."""
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f"it asks for {wanted[1]}" if wanted else "it is damaged or holds more than tensors and plain values"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
