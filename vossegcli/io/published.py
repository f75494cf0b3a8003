"""Opening published checkpoints: torch pickles, read as data only. Nothing else in the package opens a pickle."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from vossegcli.errors import CheckpointError

_DTYPES = [type(np.dtype(t)) for t in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")]
#: What NumPy's scalars consist of inside a pickle (the published files store the loss and the seed as such).
NUMPY_SCALARS = [
    *((function, name) for function in [np._core.multiarray.scalar]  # type: ignore[attr-defined]
      for name in ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")),
    np.dtype,
    *_DTYPES,
]  # fmt: skip


def read_published(path: Path) -> Mapping[str, object]:
    """Read a published checkpoint's dict with `weights_only=True`: tensors, plain values and NumPy scalars.

    Raises:
        CheckpointError: absent, damaged, or it asks for anything else to be executed.
    """
    if not path.is_file():
        raise CheckpointError("no such file", where=path, fix="check the path")
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"cannot be loaded as data ({reason})", where=path, fix="give a plain checkpoint; code in it is never run"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"is damaged or no checkpoint ({error})", where=path, fix="download it again") from error
    if not isinstance(payload, Mapping):
        raise CheckpointError("holds no dict", where=path, fix="give a published checkpoint")
    return payload
