"""The adaptive feature bank: absorb, read, forget (paper sec. 3.2), in buffers of fixed capacity.

Differences from the public code, which are meant:

* Eviction is exact: the least frequently used entries go until the budget holds, not one more. The original
  raises a threshold until it fits, which can empty a bank or fail when one frame alone exceeds the budget;
  here the bank then keeps an even sample of that frame.
* Annotated entries can be protected: they are neither evicted nor merged into, and take at most half of a
  budget.

Shape letters: K classes (background is class 0), M entries, N new features, Q query cells, C key channels,
V value channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.scatter import mean_by_index
from vossegcli.systems.afb_urr.config import BankConfig
from vossegcli.systems.afb_urr.matching import MAX_SIMILARITIES, read_memory

MAX_USAGE = 1e5


def class_budget(budget: int, classes: int) -> int:
    """Entries that each class may hold; with one object four fifths of a half, as published."""
    share = budget // classes
    return max(1, int(share * 0.8) if classes == 2 else share)


def closest_entries(new_keys: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Find the most similar entry of each new feature by cosine similarity (paper eq. 6).

    Args:
        new_keys: (N,C).
        keys: (M,C), M >= 1.

    Returns:
        (N,) similarity and (N,) index of the best entry; chunked, so memory stays bounded.
    """
    unit_new, unit = F.normalize(new_keys, dim=1), F.normalize(keys, dim=1)
    chunk = max(1, MAX_SIMILARITIES // keys.shape[0])
    best = [(part @ unit.T).max(dim=1) for part in unit_new.split(chunk)]
    return torch.cat([b.values for b in best]), torch.cat([b.indices for b in best])


def merge_rows(rows: Tensor, new_rows: Tensor, index: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Turn entries towards the mean direction of the features assigned to them (paper eq. 7).

    `|e| * ((1 - rate) * e/|e| + rate * mean(n/|n|))`; the length is not restored afterwards, as published.

    Args:
        rows: (M,C) entries.
        new_rows: (N,C) features.
        index: (N,) entry of each feature.
        rate: update rate.

    Returns:
        (T,) indices of the entries that features were assigned to, and (T,C) what they become.
    """
    touched, group = index.unique(return_inverse=True)
    old = rows[touched]
    direction = mean_by_index(F.normalize(new_rows, dim=1), group, touched.numel())
    turned = (1.0 - rate) * F.normalize(old, dim=1) + rate * direction
    return touched, old.norm(dim=1, keepdim=True) * turned


def least_used_first(usage: Tensor, inserted: Tensor, frame: int) -> Tensor:
    """Order entries by use per frame of life (paper eq. 8), the least used first, among equals the older."""
    rate = usage / (frame - inserted).clamp_min(1)
    return torch.argsort(rate, stable=True)


class ObjectBank:
    """The entries of one class in buffers of fixed capacity; entry i lies in row i < `size`."""

    FIELDS = ("keys", "values", "inserted", "usage", "protected")

    def __init__(self, capacity: int, key_channels: int, value_channels: int, device: torch.device) -> None:
        self.size = 0
        self.keys = torch.empty(capacity, key_channels, device=device)
        self.values = torch.empty(capacity, value_channels, device=device)
        self.inserted = torch.empty(capacity, device=device)
        self.usage = torch.empty(capacity, device=device)
        self.protected = torch.empty(capacity, dtype=torch.bool, device=device)

    def absorb(
        self,
        keys: Tensor,
        values: Tensor,
        frame: int,
        budget: int,
        config: BankConfig,
        closest: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Merge features into entries that are close and append the others.

        Args:
            keys: (N,C).
            values: (N,V).
            frame: index of the frame.
            budget: most entries.
            config: thresholds.
            closest: what `closest_entries` gives, where that is known already.
        """
        if self.size:
            similarity, index = closest or closest_entries(keys, self.keys[: self.size])
            close = similarity > config.merge_threshold
            merged = close & ~self.protected[: self.size][index]
            if bool(merged.any()):
                for name, new in (("keys", keys), ("values", values)):
                    rows = getattr(self, name)[: self.size]
                    rows.index_copy_(0, *merge_rows(rows, new[merged], index[merged], config.update_rate))
            keys, values = keys[~close], values[~close]
        self.append(keys, values, frame, budget, protect=False)
        self.usage[: self.size].clamp_(0.0, MAX_USAGE)

    def append(self, keys: Tensor, values: Tensor, frame: int, budget: int, *, protect: bool) -> None:
        """Append features, evicting the least used unprotected entries so that `budget` holds exactly."""
        budget = min(budget, self.keys.shape[0])
        self._evict(self.size + keys.shape[0] - budget, frame)
        room = budget - self.size
        if keys.shape[0] > room:
            even = torch.linspace(0, keys.shape[0] - 1, max(room, 0), device=keys.device).round().long()
            keys, values = keys[even], values[even]
        rows = slice(self.size, self.size + keys.shape[0])
        self.keys[rows], self.values[rows] = keys, values
        self.inserted[rows], self.usage[rows] = float(frame), 0.0
        self.protected[rows] = False
        if protect:
            self._protect(rows, budget)
        self.size = rows.stop

    def annotated_rows(self) -> Tensor:
        """Rows of the protected entries; all rows where none is protected."""
        protected = self.protected[: self.size]
        rows = protected.nonzero().flatten()
        return rows if rows.numel() else torch.arange(self.size, device=protected.device)

    def _protect(self, rows: slice, budget: int) -> None:
        """Protect rows, or an even sample: protected entries take at most half of the budget."""
        count = rows.stop - rows.start
        free = max(0, budget // 2 - int(self.protected[: rows.start].sum()))
        chosen = torch.linspace(0, count - 1, min(free, count), device=self.keys.device).round().long()
        self.protected[rows.start + chosen] = True

    def _evict(self, count: int, frame: int) -> None:
        if count <= 0:
            return
        order = least_used_first(self.usage[: self.size], self.inserted[: self.size], frame)
        doomed = order[~self.protected[order]][:count]
        keep = torch.ones(self.size, dtype=torch.bool, device=self.keys.device)
        keep[doomed] = False
        kept = int(keep.sum())
        for name in self.FIELDS:
            buffer = getattr(self, name)
            buffer[:kept] = buffer[: self.size][keep]
        self.size = kept


def same_keys(banks: Sequence[ObjectBank]) -> list[int]:
    """For each bank, the index of the first one that holds the same keys, itself included.

    Where keys come from the frame alone, the classes' banks differ in their values only, until an object is added
    or corrected later. What follows from the keys is then computed once for all of them.
    """
    owners: list[int] = []
    for index, bank in enumerate(banks):
        keys = bank.keys[: bank.size]
        twins = (i for i in sorted(set(owners)) if torch.equal(banks[i].keys[: banks[i].size], keys))
        owners.append(next(twins, index))
    return owners


class AnnotatedReading(NamedTuple):
    """Reading of Q cells from the annotated entries alone.

    Attributes:
        masks: (K,Q,n) float32 shares of each class in the parts of each cell.
        similarity: (K,Q) cosine similarity of each cell to the closest annotated entry.
    """

    masks: Tensor
    similarity: Tensor


class FeatureBank:
    """One `ObjectBank` a class.

    Args:
        config: budget, thresholds.
        device: of the buffers.
    """

    def __init__(self, config: BankConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.banks: list[ObjectBank] = []

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each class."""
        return tuple(bank.size for bank in self.banks)

    def add_classes(self, count: int, key_channels: int, value_channels: int) -> None:
        """Add empty classes; every class's budget shrinks accordingly, at its next update."""
        capacity = class_budget(self.config.budget, len(self.banks) + count)
        self.banks += [ObjectBank(capacity, key_channels, value_channels, self.device) for _ in range(count)]

    def update(self, keys: Tensor, values: Tensor, frame: int, annotated: frozenset[int] = frozenset()) -> None:
        """Take in a frame (absorb and, where needed, forget).

        Args:
            keys: (K,N,C) float32.
            values: (K,N,V) float32.
            frame: index of the frame.
            annotated: classes whose mask was given by a person; they are appended whole.
        """
        budget = class_budget(self.config.budget, len(self.banks))
        one_key = keys.stride(0) == 0  # an expanded view: all classes get the same keys
        owners = same_keys(self.banks) if one_key else list(range(len(self.banks)))
        closest: dict[int, tuple[Tensor, Tensor]] = {}
        for index, (bank, owner) in enumerate(zip(self.banks, owners, strict=True)):
            if index in annotated or bank.size == 0:
                bank.append(keys[index], values[index], frame, budget, protect=self.config.protect_annotated)
                continue
            if owner not in closest:
                closest[owner] = closest_entries(keys[index], bank.keys[: bank.size])
            bank.absorb(keys[index], values[index], frame, budget, self.config, closest[owner])

    def read(self, queries: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
        """Read (K,Q,V) of type `precision` for queries (Q,C), and count which entries were used.

        Similarities and their softmax are float32 always.
        """
        owners = same_keys(self.banks)
        read: list[Tensor] = [queries] * len(owners)
        for owner in set(owners):
            members = [i for i, other in enumerate(owners) if other == owner]
            size = self.banks[owner].size
            values = [self.banks[i].values[:size].to(precision) for i in members]
            together = values[0] if len(members) == 1 else torch.cat(values, dim=1)  # (M,k*V)
            reading = read_memory(self.banks[owner].keys[:size], together, queries)
            for i, part in zip(members, reading.values.chunk(len(members), dim=1), strict=True):
                self.banks[i].usage[:size] += torch.log1p(reading.hits)
                read[i] = part
        return torch.stack(read)

    def read_annotated(self, queries: Tensor, channels: int) -> AnnotatedReading:
        """Read the last `channels` of the values of annotated entries alone, where they are protected.

        Args:
            queries: (Q,C).
            channels: how many.
        """
        owners = same_keys(self.banks)
        read: list[Tensor] = [queries] * len(owners)
        similarity = list(read)
        for owner in set(owners):
            members = [i for i, other in enumerate(owners) if other == owner]
            rows = self.banks[owner].annotated_rows()
            values = torch.cat([self.banks[i].values[rows, -channels:] for i in members], dim=1)  # (M,k*channels)
            keys = self.banks[owner].keys[rows]
            closest = closest_entries(queries, keys)[0]
            for i, part in zip(
                members, read_memory(keys, values, queries).values.chunk(len(members), dim=1), strict=True
            ):
                read[i], similarity[i] = part, closest
        return AnnotatedReading(torch.stack(read), torch.stack(similarity))

    def state(self) -> dict[str, Tensor]:
        """Return all entries as named tensors."""
        return {
            f"{index}.{name}": getattr(bank, name)[: bank.size].clone()
            for index, bank in enumerate(self.banks)
            for name in ObjectBank.FIELDS
        } | {f"{index}.capacity": torch.tensor(bank.keys.shape[0]) for index, bank in enumerate(self.banks)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore `state()`."""
        self.banks = []
        count = 1 + max(int(name.split(".")[0]) for name in tensors)
        for index in range(count):
            keys, values = tensors[f"{index}.keys"], tensors[f"{index}.values"]
            capacity = int(tensors[f"{index}.capacity"])
            bank = ObjectBank(capacity, keys.shape[1], values.shape[1], self.device)
            bank.size = keys.shape[0]
            for name in ObjectBank.FIELDS:
                getattr(bank, name)[: bank.size] = tensors[f"{index}.{name}"].to(self.device)
            self.banks.append(bank)
