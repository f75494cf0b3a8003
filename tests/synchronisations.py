"""Counts how often code would wait for a GPU, without one: where the host asks for values, or for a number of values.

On a GPU each of them waits until everything before is computed, and the next kernels start late.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

#: Operators whose result, or its shape, is a value of the device.
ASKING = frozenset({
    "_local_scalar_dense", "nonzero", "equal", "_unique2", "unique_dim", "unique_consecutive", "masked_select",
    "bincount", "is_nonzero", "repeat_interleave",
})  # fmt: skip
#: Indexing with a mask finds the places of the mask first.
INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_"})
#: Methods that bring values to the host; on a CPU no operator runs.
FETCHING = frozenset({"cpu", "tolist"})


class _Operators(TorchDispatchMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ASKING or (name in INDEXING and _has_mask(args[1])):
            self._found[name] += 1
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in FETCHING:
            self._found[func.__name__] += 1
        return func(*args, **(kwargs or {}))


class Synchronisations:
    """Counts inside a `with` block.

    Attributes:
        found: how often, by operator or method.
    """

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self._modes = _Methods(self.found), _Operators(self.found)

    @property
    def count(self) -> int:
        return sum(self.found.values())

    def __enter__(self) -> Self:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(kind, error, trace)


def _has_mask(indices: Any) -> bool:
    return any(isinstance(index, Tensor) and index.dtype in {torch.bool, torch.uint8} for index in indices)
