"""Means of rows by index; torch-scatter's kernel where it is installed, torch's own otherwise."""

from __future__ import annotations

from torch import Tensor

try:
    from torch_scatter import scatter_mean as _scatter_mean
except ImportError:
    _scatter_mean = None


def mean_by_index(rows: Tensor, index: Tensor, groups: int) -> Tensor:
    """Average the rows of each group.

    Args:
        rows: (N,C) float.
        index: (N,) int64 group of each row, in 0..groups-1.
        groups: G.

    Returns:
        (G,C); zero for groups without rows.
    """
    if _scatter_mean is not None:
        mean: Tensor = _scatter_mean(rows, index, dim=0, dim_size=groups)
        return mean
    return mean_by_index_native(rows, index, groups)


def mean_by_index_native(rows: Tensor, index: Tensor, groups: int) -> Tensor:
    """Average the rows of each group by `index_add_`; see `mean_by_index`."""
    sums = rows.new_zeros(groups, rows.shape[1]).index_add_(0, index, rows)
    counts = rows.new_zeros(groups).index_add_(0, index, rows.new_ones(rows.shape[0]))
    return sums / counts.clamp_min(1.0).unsqueeze(1)
