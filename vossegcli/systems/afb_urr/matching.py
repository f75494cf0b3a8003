"""Reading a memory: exact softmax attention in bounded memory, and the local read of the newest frame.

Shape letters: K classes, M memory entries, Q query cells, C key channels, V value channels, h w cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

USAGE_THRESHOLD = 1e-3
#: Most elements of a similarity matrix that exist at one time (16 Mi float32 = 64 MiB).
MAX_SIMILARITIES = 1 << 24


class Reading(NamedTuple):
    """Result of a read.

    Attributes:
        values: (Q,V) in the type of the memory's values, the softmax-weighted mean of the memory's values for each query.
        hits: (M,) float32, how many queries gave an entry more than `USAGE_THRESHOLD` of their weight.
    """

    values: Tensor
    hits: Tensor


def read_memory(keys: Tensor, values: Tensor, queries: Tensor, max_similarities: int = MAX_SIMILARITIES) -> Reading:
    """Softmax attention over all entries (paper eq. 4-5), exact, chunked over the queries.

    A query's weights need all entries but no other query, so chunks of queries bound the memory and change nothing.

    Args:
        keys: (M,C) float32.
        values: (M,V) in the type that the weighted mean is to be computed in (summed up in float32).
        queries: (Q,C) float32.
        max_similarities: upper bound of the elements of one chunk's similarity matrix (at least one query a chunk).
    """
    entries = keys.shape[0]
    scale = 1.0 / math.sqrt(keys.shape[1])
    chunk = max(1, max_similarities // max(1, entries))
    read = values.new_empty(queries.shape[0], values.shape[1])
    hits = keys.new_zeros(entries)
    for start in range(0, queries.shape[0], chunk):
        part = slice(start, start + chunk)
        weights = torch.softmax((queries[part] * scale) @ keys.T, dim=1)  # (q,M)
        torch.mm(weights.to(values.dtype), values, out=read[part])
        hits += weights.gt_(USAGE_THRESHOLD).sum(dim=0)  # in place, as floats: summing bools is ten times slower
    return Reading(read, hits)


def grid_cells(height: int, width: int, device: torch.device) -> Tensor:
    """Coordinates (y, x) of all cells of a grid from its centre, (hw,2) float32, in cells."""
    y, x = (torch.arange(n, device=device, dtype=torch.float32) - 0.5 * (n - 1) for n in (height, width))
    return torch.cartesian_prod(y, x)


def local_weights(keys: Tensor, queries: Tensor, sigma: Tensor, height: int, width: int) -> Tensor:
    """Attention of a frame to the frame before it, with a Gaussian prior on the distance between cells.

    The prior's logit is `-|a - b|^2 / (2 sigma^2) = a.b / sigma^2 - |b|^2 / (2 sigma^2) + (what is the same for all b)`:
    three more channels of queries and keys, instead of a matrix of distances.

    Args:
        keys: (B,hw,C) keys of the newest memorised frame.
        queries: (B,hw,C) keys of the current frame.
        sigma: scalar, standard deviation of the prior in cells.
        height: h.
        width: w.

    Returns:
        (B,hw,hw) weights; each row (a query) sums to 1.
    """
    cells = grid_cells(height, width, keys.device) / sigma  # (hw,2)
    own = torch.cat([cells, torch.ones_like(cells[:, :1])], dim=1).expand(queries.shape[0], -1, -1)
    other = torch.cat([cells, -0.5 * cells.square().sum(dim=1, keepdim=True)], dim=1).expand_as(own)
    queries = torch.cat([queries / math.sqrt(keys.shape[-1]), own], dim=2)  # (B,hw,C+3)
    return torch.softmax(queries @ torch.cat([keys, other], dim=2).transpose(1, 2), dim=-1)
