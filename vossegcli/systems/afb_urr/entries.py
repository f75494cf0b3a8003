"""The entries of a bank: which is closest, what merging makes of them, which goes first.

Shape letters: K classes (background is class 0), M entries, N new features, Q query cells, C key or value channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.maxima import row_maxima
from vossegcli.ops.scatter import mean_by_index
from vossegcli.systems.afb_urr.matching import MAX_SIMILARITIES, Reading, read_memory, read_rows

#: A CPU multiplies matrices twice as fast where the rows of the product begin at multiples of 64 bytes.
ALIGNED = 16


def closest_entries(new_keys: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Find the most similar entry of each new feature by cosine similarity (paper eq. 6).

    Args:
        new_keys: (N,C).
        keys: (M,C), M >= 1.

    Returns:
        (N,) similarity and (N,) index of the best entry; chunked, so memory stays bounded.
    """
    again = keys[:1].expand(-len(keys) % ALIGNED, -1)  # of equal ones the first is found
    unit_new, unit = F.normalize(new_keys, dim=1), F.normalize(torch.cat([keys, again]), dim=1)
    chunk = max(1, MAX_SIMILARITIES // unit.shape[0])
    best = [row_maxima(part @ unit.T) for part in unit_new.split(chunk)]
    return torch.cat([values for values, _ in best]), torch.cat([indices for _, indices in best])


def merge_rows(old: Tensor, new_rows: Tensor, group: Tensor, rate: float) -> Tensor:
    """Turn entries towards the mean direction of the features assigned to them (paper eq. 7).

    `|e| * ((1 - rate) * e/|e| + rate * mean(n/|n|))`; the length is not restored afterwards, as published.

    Args:
        old: (T,C) entries, each with a feature.
        new_rows: (N,C) features.
        group: (N,) row of `old` that each feature is assigned to.
        rate: update rate.

    Returns:
        (T,C) what the entries become.
    """
    direction = mean_by_index(F.normalize(new_rows, dim=1), group, old.shape[0])
    turned = (1.0 - rate) * F.normalize(old, dim=1) + rate * direction
    lengths: Tensor = old.norm(dim=1, keepdim=True)
    return lengths * turned


def least_used_first(usage: Tensor, inserted: Tensor, frame: int) -> Tensor:
    """Order entries by use per frame of life (paper eq. 8), the least used first, among equals the older."""
    rate = usage / (frame - inserted).clamp_min(1)
    return torch.argsort(rate, stable=True)


@dataclass(frozen=True, eq=False)
class BankEntries:
    """The entries of all classes as they are read until the bank changes; another thread may read them too.

    Attributes:
        groups: classes whose keys are the same, their keys (M,C), and their values side by side (M,k*V).
        precision: type of the values.
        unit_keys: no key is longer than the others.
    """

    groups: list[tuple[list[int], Tensor, Tensor]]
    precision: torch.dtype
    unit_keys: bool

    def read(self, queries: Tensor) -> list[Reading]:
        """Read them with queries (Q,C), a reading (Q,k*V) for each group."""
        return [read_memory(keys, values, queries, unit_keys=self.unit_keys) for _, keys, values in self.groups]

    def closest(self, new_keys: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return `closest_entries` of new keys (N,C) for each group."""
        return [closest_entries(new_keys, keys) for _, keys, _ in self.groups]


class Readable(NamedTuple):
    """Entries that some more frames will read, unless masks are added to one of them."""

    entries: BankEntries
    last: int  # number of the last of these frames


class Closest(NamedTuple):
    """The entries of a bank that are closest to the cells of a frame which is to be memorised.

    Attributes:
        entries: of the bank.
        found: similarity (hw,) and index (hw,), for each of their groups.
    """

    entries: BankEntries
    found: list[tuple[Tensor, Tensor]]


class AnnotatedReading(NamedTuple):
    """Reading of Q cells from the annotated entries alone.

    Attributes:
        masks: (K,Q,n) shares of each class in the parts of each cell.
        similarity: (K,Q) cosine similarity of each cell to the closest annotated entry.
    """

    masks: Tensor
    similarity: Tensor


@dataclass(frozen=True, eq=False)
class AnnotatedEntries:
    """Copies of the annotated entries of all classes.

    Attributes:
        state: of the banks that they were copied from, and the type of the values.
        groups: classes whose keys are the same, their keys (M,C), and their values side by side (M,k*n).
        unit_keys: no key is longer than the others.
    """

    state: tuple[list[int], list[int], torch.dtype]
    groups: list[tuple[list[int], Tensor, Tensor]]
    unit_keys: bool

    def read(self, queries: Tensor) -> AnnotatedReading:
        """Read them with queries (Q,C)."""
        read: list[Tensor] = [queries] * len(self.state[0])
        similarity = list(read)
        for members, keys, values in self.groups:
            means, closest = read_rows(keys, values, queries, unit_keys=self.unit_keys)
            for i, part in zip(members, means.chunk(len(members), dim=1), strict=True):
                read[i], similarity[i] = part, closest
        return AnnotatedReading(torch.stack(read), torch.stack(similarity))
