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

import torch
from torch import Tensor

from vossegcli.ops.spans import even_places
from vossegcli.systems.afb_urr.config import BankConfig
from vossegcli.systems.afb_urr.entries import (
    AnnotatedEntries,
    BankEntries,
    Closest,
    closest_entries,
    least_used_first,
    merge_rows,
)
from vossegcli.systems.afb_urr.matching import Reading

MAX_USAGE = 1e5


def class_budget(budget: int, classes: int) -> int:
    """Entries that each class may hold; with one object four fifths of a half, as published."""
    share = budget // classes
    return max(1, int(share * 0.8) if classes == 2 else share)


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
        self._annotated: Tensor | None = None  # rows, until the bank changes
        self._protects = False
        self.annotations = 0  # grows whenever there are other annotated entries

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
            # Places, not masks: every use of a mask would ask the device anew how many there are.
            merged = (close & ~self.protected[: self.size][index]).nonzero().flatten()
            if merged.numel():
                touched, group = index[merged].unique(return_inverse=True)
                for rows, new in ((self.keys, keys), (self.values, values)):
                    rows.index_copy_(0, touched, merge_rows(rows[touched], new[merged], group, config.update_rate))
            fresh = (~close).nonzero().flatten()
            keys, values = keys[fresh], values[fresh]
        self.append(keys, values, frame, budget, protect=False)
        self.usage[: self.size].clamp_(0.0, MAX_USAGE)

    def append(self, keys: Tensor, values: Tensor, frame: int, budget: int, *, protect: bool) -> None:
        """Append features, evicting the least used unprotected entries so that `budget` holds exactly."""
        self._annotated = None
        self.annotations += protect or not self._protects
        budget = min(budget, self.keys.shape[0])
        self._evict(self.size + keys.shape[0] - budget, frame)
        room = budget - self.size
        if keys.shape[0] > room:
            even = even_places(keys.shape[0], room, keys.device)
            keys, values = keys[even], values[even]
        rows = slice(self.size, self.size + keys.shape[0])
        self.keys[rows], self.values[rows] = keys, values
        self.inserted[rows], self.usage[rows] = float(frame), 0.0
        self.protected[rows] = False
        if protect:
            self._protect(rows, budget)
        self.size = rows.stop

    def annotated_from_state(self) -> None:
        """Note what the buffers say, after they were filled."""
        self._protects = bool(self.protected[: self.size].any())

    def annotated_rows(self) -> Tensor:
        """Rows of the protected entries; all rows where none is protected."""
        if self._annotated is None:
            protected = self.protected[: self.size]
            rows = protected.nonzero().flatten()
            self._annotated = rows if rows.numel() else torch.arange(self.size, device=protected.device)
        return self._annotated

    def _protect(self, rows: slice, budget: int) -> None:
        """Protect rows, or an even sample: protected entries take at most half of the budget."""
        free = budget // 2 - int(self.protected[: rows.start].sum())
        chosen = even_places(rows.stop - rows.start, free, self.keys.device)
        self.protected[rows.start + chosen] = True
        self._protects = self._protects or chosen.numel() > 0

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
    owners = list(range(len(banks)))
    left = list(owners)
    while left:
        first, *others = left
        size = banks[first].size
        rivals = [i for i in others if banks[i].size == size]
        if rivals:  # one answer of the device for all of them
            keys = banks[first].keys[:size]
            same = torch.stack([(banks[i].keys[:size] == keys).all() for i in rivals]).tolist()
            for i, is_same in zip(rivals, same, strict=True):
                owners[i] = first if is_same else owners[i]
        left = [i for i in others if owners[i] == i]
    return owners


class FeatureBank:
    """One `ObjectBank` a class.

    Args:
        config: budget, thresholds.
        device: of the buffers.
        unit_keys: keys are unit vectors times one scale.
    """

    def __init__(self, config: BankConfig, device: torch.device, *, unit_keys: bool = False) -> None:
        self.config = config
        self.unit_keys = unit_keys
        self.device = device
        self.banks: list[ObjectBank] = []
        self._known_owners: list[int] | None = None
        self._known_entries: BankEntries | None = None
        self.known_annotated: AnnotatedEntries | None = None  # what `annotated` gave last

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each class."""
        return tuple(bank.size for bank in self.banks)

    def _owners(self) -> list[int]:
        """Banks with the same keys (`same_keys`), found once after every change."""
        if self._known_owners is None:
            self._known_owners = same_keys(self.banks)
        return self._known_owners

    def add_classes(self, count: int, key_channels: int, value_channels: int) -> None:
        """Add empty classes; every class's budget shrinks accordingly, at its next update."""
        capacity = class_budget(self.config.budget, len(self.banks) + count)
        self._known_owners = self._known_entries = None
        self.banks += [ObjectBank(capacity, key_channels, value_channels, self.device) for _ in range(count)]

    def update(
        self,
        keys: Tensor,
        values: Tensor,
        frame: int,
        annotated: frozenset[int] = frozenset(),
        nearby: Closest | None = None,
    ) -> None:
        """Take in a frame (absorb and, where needed, forget).

        Args:
            keys: (K,N,C) float32.
            values: (K,N,V) float32.
            frame: index of the frame.
            annotated: classes whose mask was given by a person; they are appended whole.
            nearby: the entries closest to the keys, where they are known already.
        """
        budget = class_budget(self.config.budget, len(self.banks))
        one_key = keys.stride(0) == 0  # an expanded view: all classes get the same keys
        owners = self._owners() if one_key else list(range(len(self.banks)))
        closest: dict[int, tuple[Tensor, Tensor]] = {}
        if one_key and nearby is not None and nearby.entries is self._known_entries:
            closest = {group[0][0]: found for group, found in zip(nearby.entries.groups, nearby.found, strict=True)}
        self._known_owners = self._known_entries = None
        for index, (bank, owner) in enumerate(zip(self.banks, owners, strict=True)):
            if index in annotated or bank.size == 0:
                bank.append(keys[index], values[index], frame, budget, protect=self.config.protect_annotated)
                continue
            if owner not in closest:
                closest[owner] = closest_entries(keys[index], bank.keys[: bank.size])
            bank.absorb(keys[index], values[index], frame, budget, self.config, closest[owner])

    def entries(self, precision: torch.dtype = torch.float32) -> BankEntries:
        """Give all entries, with values of type `precision`, as they are read until the bank changes.

        Similarities and their softmax are float32, but for unit keys, whose similarities are bounded.
        """
        known = self._known_entries
        if known is None or known.precision != precision:
            owners = self._owners()
            copied = self.config.memory_every > 1  # another thread may read them, and rows change in place
            groups = []
            for owner in sorted(set(owners)):
                members = [i for i, other in enumerate(owners) if other == owner]
                size = self.banks[owner].size
                keys = self.banks[owner].keys[:size]
                values = [self.banks[i].values[:size].to(precision, copy=copied) for i in members]
                together = values[0] if len(members) == 1 else torch.cat(values, dim=1)  # (M,k*V)
                groups.append((members, keys.clone() if copied else keys, together))
            known = self._known_entries = BankEntries(groups, precision, self.unit_keys)
        return known

    def take(self, entries: BankEntries, readings: list[Reading]) -> Tensor:
        """Count which entries were used by readings of what `entries` gave, and return what was read, (K,Q,V)."""
        read: list[Tensor] = [readings[0].values] * len(self.banks)
        for (members, *_), reading in zip(entries.groups, readings, strict=True):
            used = torch.log1p(reading.hits)
            for i, part in zip(members, reading.values.chunk(len(members), dim=1), strict=True):
                self.banks[i].usage[: len(used)] += used
                read[i] = part
        return torch.stack(read)

    def read(self, queries: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
        """Read (K,Q,V) of type `precision` for queries (Q,C), and count which entries were used."""
        entries = self.entries(precision)
        return self.take(entries, entries.read(queries))

    def annotated(self, channels: int, precision: torch.dtype = torch.float32) -> AnnotatedEntries:
        """Copy out the annotated entries, where they are protected, with the last `channels` of their values."""
        owners = self._owners()
        state = owners, [bank.annotations for bank in self.banks], precision
        if self.known_annotated is None or self.known_annotated.state != state:
            groups = []
            for owner in sorted(set(owners)):
                members = [i for i, other in enumerate(owners) if other == owner]
                rows = self.banks[owner].annotated_rows()
                values = torch.cat([self.banks[i].values[rows, -channels:] for i in members], dim=1)  # (M,k*channels)
                groups.append((members, self.banks[owner].keys[rows], values.to(precision)))
            self.known_annotated = AnnotatedEntries(state, groups, self.unit_keys)
        return self.known_annotated

    def state(self) -> dict[str, Tensor]:
        """Return all entries as named tensors."""
        return {
            f"{index}.{name}": getattr(bank, name)[: bank.size].clone()
            for index, bank in enumerate(self.banks)
            for name in ObjectBank.FIELDS
        } | {f"{index}.capacity": torch.tensor(bank.keys.shape[0]) for index, bank in enumerate(self.banks)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore `state()`."""
        self.banks, self._known_owners, self._known_entries, self.known_annotated = [], None, None, None
        count = 1 + max(int(name.split(".")[0]) for name in tensors)
        for index in range(count):
            keys, values = tensors[f"{index}.keys"], tensors[f"{index}.values"]
            capacity = int(tensors[f"{index}.capacity"])
            bank = ObjectBank(capacity, keys.shape[1], values.shape[1], self.device)
            bank.size = keys.shape[0]
            for name in ObjectBank.FIELDS:
                getattr(bank, name)[: bank.size] = tensors[f"{index}.{name}"].to(self.device)
            bank.annotated_from_state()
            self.banks.append(bank)
