"""Reading a memory: exact softmax attention in bounded memory, and the local read of the newest frame.

Shape letters: K classes, M memory entries, Q query cells, C key channels, V value channels, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

USAGE_THRESHOLD = 1e-3
COUNTED = 256
BEYOND = 1e6
EPS = 1e-12
#: Columns that are read together from the frame before.
BLOCK = 15
#: Most elements of a similarity matrix that exist at one time. 24 MiB of float32: a CPU's cache holds most of it,
#: and the allocator reuses it (from 32 MiB on, glibc asks the kernel for fresh pages each time).
MAX_SIMILARITIES = 6 << 20
#: Entries by which a matrix in half precision grows: for every new shape, PyTorch's CPU kernels compile a program that
#: is kept for good (0.4 MiB each), so a memory that grows entry by entry must not show them every size.
STEP = 512


class Reading(NamedTuple):
    """Result of a read.

    Attributes:
        values: (Q,V) softmax-weighted mean of the memory's values for each query, in their type.
        hits: (M,) float32, how many queries gave an entry more than `USAGE_THRESHOLD` of their weight.
    """

    values: Tensor
    hits: Tensor


def read_memory(
    keys: Tensor,
    values: Tensor,
    queries: Tensor,
    max_similarities: int = MAX_SIMILARITIES,
    *,
    unit_keys: bool = False,
) -> Reading:
    """Softmax attention over all entries (paper eq. 4-5), exact, chunked over the queries.

    A query's weights need all entries but no other query: chunks bound the memory and change nothing.

    Args:
        keys: (M,C) float32.
        values: (M,V) in the type that the weighted mean is to be computed in (summed up in float32).
        queries: (Q,C) float32.
        max_similarities: most elements of one chunk's similarity matrix (at least one query a chunk).
        unit_keys: no key or query is longer than the others: similarities may be computed in the values' type.
    """
    entries = keys.shape[0]
    if values.dtype == torch.float32:
        own, theirs, padded = queries / math.sqrt(keys.shape[1]), keys, values
    else:
        own, theirs, padded = _for_half_precision(keys, values, queries, unit_keys=unit_keys)
    chunk = max(1, max_similarities // max(1, theirs.shape[0]))
    read = values.new_empty(queries.shape[0], values.shape[1])
    hits = keys.new_zeros(theirs.shape[0])
    for start in range(0, queries.shape[0], chunk):
        part = slice(start, start + chunk)
        weights = torch.softmax(own[part] @ theirs.T, dim=1)  # (q,M)
        torch.mm(weights.to(values.dtype), padded, out=read[part])
        hits += count_above(weights, USAGE_THRESHOLD)
    return Reading(read, hits[:entries])


def read_rows(keys: Tensor, values: Tensor, queries: Tensor, *, unit_keys: bool = False) -> tuple[Tensor, Tensor]:
    """Softmax attention to a few entries, and the largest cosine to one of them, from the same products.

    Args:
        keys: (N,C) float32.
        values: (N,V) in the type that the weighted mean is to be computed in.
        queries: (Q,C) float32.
        unit_keys: as of `read_memory`.

    Returns:
        (Q,V) means and (Q,) cosines, float32; chunked, so memory stays bounded.
    """
    chunk = max(1, MAX_SIMILARITIES // keys.shape[0])
    means, cosines = [], []
    if unit_keys and values.dtype != torch.float32:
        own, theirs, padded = _for_half_precision(keys, values, queries, unit_keys=True)
        bound = -own[:, -2].float()
        for part in own.split(chunk):
            products = part @ theirs.T  # (q,N), of length times length, minus these
            cosines.append(products.amax(dim=1))
            means.append(torch.softmax(products, dim=1) @ padded)
        return torch.cat(means).float(), torch.cat(cosines).float() / bound + 1.0
    unit, scale = F.normalize(keys, dim=1), keys.norm(dim=1) * keys.shape[1] ** -0.5
    for part in queries.split(chunk):
        products = part @ unit.T  # (q,N)
        cosines.append(products.amax(dim=1) / part.norm(dim=1).clamp_min(EPS))
        means.append(torch.softmax(products.mul_(scale), dim=1) @ values.float())
    return torch.cat(means), torch.cat(cosines)


def _for_half_precision(
    keys: Tensor, values: Tensor, queries: Tensor, *, unit_keys: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries and keys as `below_zero` makes them, and values, in sizes that are few."""
    padding = -keys.shape[0] % STEP
    own, theirs = below_zero(queries, keys, padding)
    if unit_keys:
        own, theirs = own.to(values.dtype), theirs.to(values.dtype)
    return own, theirs, F.pad(values, (0, 0, 0, padding))


def count_above(x: Tensor, threshold: float) -> Tensor:
    """Count how many numbers of each column of (N,M), which is overwritten, exceed a threshold: (M,) float32.

    Half precision is exact up to `COUNTED`: so many rows are summed up at a time, by a matrix product, which is much
    faster than a sum over rows.
    """
    place = torch.arange(x.shape[0], device=x.device) // COUNTED
    parts = torch.arange(-(-x.shape[0] // COUNTED), device=x.device)
    of_parts = (parts.unsqueeze(1) == place).to(x.dtype)  # (parts,N)
    return (of_parts @ x.gt_(threshold)).float().sum(dim=0)


def below_zero(queries: Tensor, keys: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Vectors whose products are similarities minus an upper bound of them, and some keys more that nobody is like.

    Near zero, numbers in half precision are exact, and where keys have one length, the similarities that matter are
    near the bound.

    Args:
        queries: (Q,C).
        keys: (M,C).
        padding: P keys more.

    Returns:
        (Q,C+2) and (M+P,C+2) float32.
    """
    scaled = queries / math.sqrt(keys.shape[1])
    bound = scaled.norm(dim=1).amax() * keys.norm(dim=1).amax()
    ones = scaled.new_ones(len(scaled), 1)
    own = torch.cat([scaled, -bound * ones, ones], dim=1)
    theirs = F.pad(keys, (0, 2, 0, padding))
    theirs[: len(keys), -2] = 1.0
    theirs[len(keys) :, -1] = -BEYOND
    return own, theirs


def grid_cells(height: int, width: int, device: torch.device) -> Tensor:
    """Coordinates (y, x) of all cells of a grid from its centre, (2,h,w) float32, in cells."""
    y, x = (torch.arange(n, device=device, dtype=torch.float32) - 0.5 * (n - 1) for n in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij"))


def windows(cells: Tensor, rows: int, columns: int) -> Iterator[Tensor]:
    """Yield, block by block of columns, the cells around each row's part in the block.

    Args:
        cells: (B,C,h+2*rows,w+2*columns).
        rows: above and below.
        columns: to the left and right of the block.

    Yields:
        (B,h,(2*rows+1)*W,C) for the W columns that a block of up to `BLOCK` sees; rows overlap in memory.
    """
    width = cells.shape[3] - 2 * columns
    for left in range(0, width, BLOCK):
        part = cells[..., left : min(left + BLOCK, width) + 2 * columns]
        lines = part.permute(0, 2, 3, 1).contiguous().unfold(1, 2 * rows + 1, 1)  # (B,h,W,C,R)
        yield lines.permute(0, 1, 4, 2, 3).flatten(2, 3)


def local_weights(keys: Tensor, queries: Tensor, sigma: Tensor, rows: int, columns: int) -> list[Tensor]:
    """Attention of a frame to the frame before it, with a Gaussian prior on the distance between cells.

    A query sees the rows and columns up to a distance from its own block; farther away, the prior leaves nothing. Its
    logit is `-|a - b|^2 / (2 sigma^2) = a.b / sigma^2 - |b|^2 / (2 sigma^2) + (the same for all b)`: three more
    channels of queries and keys, instead of a matrix of distances.

    Args:
        keys: (B,C,h,w) of the frame before.
        queries: (B,C,h,w) of the current frame.
        sigma: scalar, standard deviation of the prior in cells.
        rows: distance.
        columns: distance from the block of `BLOCK` columns that a query is in.

    Returns:
        for each block of b columns (B,h,b,M) weights in the order of `windows`; they sum to 1 for each query.
    """
    batch, channels, height, width = keys.shape
    place = (grid_cells(height, width, keys.device) / sigma).expand(batch, -1, -1, -1)  # (B,2,h,w)
    reach = -0.5 * place.square().sum(dim=1, keepdim=True)  # (B,1,h,w)
    sides = (columns, columns, rows, rows)
    own = torch.cat([queries / math.sqrt(channels), place, torch.ones_like(reach)], dim=1)  # (B,C+3,h,w)
    beyond = F.pad(reach, sides, value=-BEYOND)  # cells that do not exist get no weight
    other = torch.cat([F.pad(torch.cat([keys, place], dim=1), sides), beyond], dim=1)
    blocks = own.permute(0, 2, 3, 1).split(BLOCK, dim=2)  # (B,h,b,C+3)
    near = windows(other, rows, columns)
    return [torch.softmax(q @ k.transpose(2, 3), dim=-1) for q, k in zip(blocks, near, strict=True)]


def read_locally(weights: Sequence[Tensor], values: Tensor, rows: int, columns: int) -> Tensor:
    """Average values (B,V,h,w) of the frame before with `local_weights`: (B,V,h,w), in their type."""
    near = windows(F.pad(values.to(weights[0].dtype), (columns, columns, rows, rows)), rows, columns)
    read = torch.cat([w @ v for w, v in zip(weights, near, strict=True)], dim=2)  # (B,h,w,V)
    return read.permute(0, 3, 1, 2)
