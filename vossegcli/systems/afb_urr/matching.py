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
        values: (Q,V) float32, the softmax-weighted mean of the memory's values for each query.
        hits: (M,) int64, how many queries gave an entry more than `USAGE_THRESHOLD` of their weight.
    """

    values: Tensor
    hits: Tensor


def read_memory(keys: Tensor, values: Tensor, queries: Tensor, max_similarities: int = MAX_SIMILARITIES) -> Reading:
    """Softmax attention over all entries (paper eq. 4-5), exact, chunked over the queries.

    A query's weights need all entries but no other query, so chunks of queries bound the memory and change nothing.

    Args:
        keys: (M,C) float32.
        values: (M,V) float32.
        queries: (Q,C) float32.
        max_similarities: upper bound of the elements of one chunk's similarity matrix (at least one query a chunk).
    """
    entries = keys.shape[0]
    scale = 1.0 / math.sqrt(keys.shape[1])
    chunk = max(1, max_similarities // max(1, entries))
    read = values.new_empty(queries.shape[0], values.shape[1])
    hits = torch.zeros(entries, dtype=torch.int64, device=keys.device)
    for start in range(0, queries.shape[0], chunk):
        part = slice(start, start + chunk)
        weights = torch.softmax((queries[part] * scale) @ keys.T, dim=1)  # (q,M)
        torch.mm(weights, values, out=read[part])
        hits += (weights > USAGE_THRESHOLD).sum(dim=0)
    return Reading(read, hits)


def grid_distances(height: int, width: int, device: torch.device) -> Tensor:
    """Squared distances between all cells of a grid, (hw,hw) float32, in cells."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    cells = torch.stack([y, x], dim=-1).view(-1, 2).float()
    return torch.cdist(cells, cells).square()


def local_weights(keys: Tensor, queries: Tensor, sigma: Tensor, height: int, width: int) -> Tensor:
    """Attention of a frame to the frame before it, with a Gaussian prior on the distance between cells.

    Args:
        keys: (B,hw,C) keys of the newest memorised frame.
        queries: (B,hw,C) keys of the current frame.
        sigma: scalar, standard deviation of the prior in cells.
        height: h.
        width: w.

    Returns:
        (B,hw,hw) weights; each row (a query) sums to 1.
    """
    similarity = queries @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
    prior = grid_distances(height, width, keys.device) / (2.0 * sigma.square())
    return torch.softmax(similarity - prior, dim=-1)
