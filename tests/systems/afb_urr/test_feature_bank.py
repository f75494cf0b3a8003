"""The bank: what it takes in, gives and forgets.

Covers: systems.afb_urr.entries, systems.afb_urr.feature_bank
"""

import pytest
import torch

from vossegcli.systems.afb_urr import feature_bank
from vossegcli.systems.afb_urr.config import BankConfig
from vossegcli.systems.afb_urr.entries import Closest, closest_entries, least_used_first, merge_rows
from vossegcli.systems.afb_urr.feature_bank import (
    FeatureBank,
    ObjectBank,
    class_budget,
    same_keys,
)
from vossegcli.systems.afb_urr.matching import read_memory

CPU = torch.device("cpu")


def test_class_budgets_are_the_published_ones() -> None:
    assert [class_budget(300_000, k) for k in (2, 3, 4, 6, 11)] == [120_000, 100_000, 75_000, 50_000, 27_272]


def test_closest_entry_is_by_angle() -> None:
    similarity, index = closest_entries(torch.tensor([[3.0, 3.1]]), torch.tensor([[1.0, 0.0], [0.1, 0.1], [0.0, 9.0]]))
    assert index.tolist() == [1]
    assert float(similarity) == pytest.approx(0.9999, abs=1e-4)


def test_merge_by_hand() -> None:
    rows = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    merged = merge_rows(rows[:1], torch.tensor([[0.0, 7.0], [3.0, 0.0]]), torch.tensor([0, 0]), 0.1)
    # |e| = 2, unit (1, 0); mean direction of (0, 1) and (1, 0) = (0.5, 0.5): 2 * (0.9 * (1, 0) + 0.1 * (0.5, 0.5))
    assert merged.tolist() == [pytest.approx([1.9, 0.1])]
    assert rows.tolist() == [[2.0, 0.0], [0.0, 5.0]]


def test_least_used_is_per_frame_of_life() -> None:
    usage, inserted = torch.tensor([8.0, 3.0, 3.0]), torch.tensor([0.0, 9.0, 8.0])
    assert least_used_first(usage, inserted, 10).tolist() == [0, 2, 1]  # 0.8, 1.5, 3.0 a frame


def bank_with(keys: list[list[float]], capacity: int = 8) -> ObjectBank:
    bank = ObjectBank(capacity, 2, 1, CPU)
    rows = torch.tensor(keys)
    bank.append(rows, torch.arange(len(keys)).float().unsqueeze(1), 0, capacity, protect=False)
    return bank


def test_close_features_merge_and_others_are_appended() -> None:
    bank = bank_with([[1.0, 0.0], [0.0, 1.0]])
    new = torch.tensor([[1.0, 0.01], [-1.0, 0.0]])
    bank.absorb(new, torch.tensor([[1.0], [9.0]]), 1, 8, BankConfig())
    assert bank.size == 3
    assert bank.keys[2].tolist() == [-1.0, 0.0]
    assert bank.inserted[:3].tolist() == [0.0, 0.0, 1.0]


def test_eviction_takes_exactly_what_must_go() -> None:
    bank = bank_with([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], capacity=4)
    bank.usage[:4] = torch.tensor([5.0, 1.0, 3.0, 2.0])
    bank.append(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([[7.0], [8.0]]), 4, 4, protect=False)
    assert bank.size == 4
    assert bank.values[:4, 0].tolist() == [0.0, 2.0, 7.0, 8.0]  # entries 1 and 3 were used least


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("protect", [False, True])
def test_the_budget_always_holds(budget: int, protect: bool) -> None:
    """The original empties a bank or fails where one frame exceeds the budget."""
    generator = torch.Generator().manual_seed(budget)
    config = BankConfig(budget=3 * budget, protect_annotated=protect)
    bank = FeatureBank(config, CPU)
    bank.add_classes(3, 4, 2)
    for frame in range(12):
        keys, values = (torch.randn(3, 7, c, generator=generator) for c in (4, 2))
        bank.update(keys, values, frame, frozenset({0, 1, 2}) if frame == 0 else frozenset())
        assert all(1 <= size <= budget for size in bank.sizes)
        assert bool(torch.isfinite(bank.read(torch.randn(5, 4, generator=generator))).all())


def test_protected_entries_stay_as_they_are() -> None:
    config = BankConfig(budget=60, protect_annotated=True, merge_threshold=0.5)
    bank = FeatureBank(config, CPU)
    bank.add_classes(3, 4, 2)
    keys, values = torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    bank.update(keys, values, 0, frozenset({0, 1, 2}))
    for frame in range(1, 20):
        bank.update(torch.randn(3, 9, 4), torch.randn(3, 9, 2), frame)
    for k in range(3):
        assert torch.equal(bank.banks[k].keys[:5], keys[k])
        assert torch.equal(bank.banks[k].values[:5], values[k])


def test_adding_a_class_leaves_the_other_banks() -> None:
    """Adding changes nothing; the next frame is then absorbed as it would be without the new class."""
    generator = torch.Generator().manual_seed(4)
    bank, alone = (FeatureBank(BankConfig(), CPU) for _ in range(2))
    keys, values = torch.randn(3, 5, 4, generator=generator), torch.randn(3, 5, 2, generator=generator)
    for each in (bank, alone):
        each.add_classes(2, 4, 2)
        each.update(keys[:2], values[:2], 0, frozenset({0, 1}))
    before = bank.state()
    bank.add_classes(1, 4, 2)
    assert all(torch.equal(bank.state()[name], value) for name, value in before.items())
    keys, values = torch.randn(3, 5, 4, generator=generator), torch.randn(3, 5, 2, generator=generator)
    bank.update(keys, values, 1, frozenset({2}))
    alone.update(keys[:2], values[:2], 1)
    for name, value in alone.state().items():
        assert torch.equal(bank.state()[name], value), name
    assert bank.sizes[0] > 0
    assert torch.equal(bank.banks[2].keys[:5], keys[2])


def test_state_round_trip() -> None:
    bank, other = (FeatureBank(BankConfig(budget=40), CPU) for _ in range(2))
    bank.add_classes(2, 4, 2)
    for frame in range(4):
        bank.update(torch.randn(2, 6, 4), torch.randn(2, 6, 2), frame)
        bank.read(torch.randn(3, 4))
    other.load_state(bank.state())
    assert other.sizes == bank.sizes
    query = torch.randn(3, 4)
    assert torch.equal(bank.read(query), other.read(query))


def test_classes_with_the_same_keys_share_the_work_and_change_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    shared, apart = (FeatureBank(BankConfig(budget=60), CPU) for _ in range(2))
    for frame in range(8):
        keys = torch.randn(1, 9, 4, generator=generator).expand(len(shared.banks) or 2, -1, -1)
        values = torch.randn(len(keys) + 1, 9, 2, generator=generator)
        if frame in (0, 5):  # from frame 5 on, a class is there that saw fewer frames
            for bank in (shared, apart):
                bank.add_classes(len(keys) if frame == 0 else 1, 4, 2)
            keys = keys[:1].expand(len(shared.banks), -1, -1)
        count = len(shared.banks)
        shared.update(keys, values[:count], frame)
        apart.update(keys.contiguous(), values[:count], frame)
        assert same_keys(shared.banks) == ([0, 0] if frame < 5 else [0, 0, 2])
        assert shared.sizes == apart.sizes
        queries = torch.randn(6, 4, generator=generator)
        expected = [read_memory(b.keys[: b.size], b.values[: b.size], queries).values for b in apart.banks]
        torch.testing.assert_close(shared.read(queries), torch.stack(expected))
        apart.read(queries)
        for one, other in zip(shared.banks, apart.banks, strict=True):
            torch.testing.assert_close(one.usage[: one.size], other.usage[: other.size])


def test_closest_entries_that_are_known_are_not_looked_for_unless_the_bank_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(4)
    known, plain = (FeatureBank(BankConfig(budget=60, merge_threshold=0.5), CPU) for _ in range(2))
    frames = [torch.randn(1, 9, 4, generator=generator) for _ in range(4)]
    values = torch.randn(4, 2, 9, 2, generator=generator)
    looked = []
    monkeypatch.setattr(feature_bank, "closest_entries", lambda *keys: looked.append(1) or closest_entries(*keys))
    nearby = None
    for number, (keys, of_frame) in enumerate(zip(frames, values, strict=True)):
        if number == 0:
            known.add_classes(2, 4, 2)
            plain.add_classes(2, 4, 2)
        if number in (1, 2):  # for frame 3, those of frame 2 are no longer right
            entries = known.entries()
            nearby = Closest(entries, entries.closest(keys[0]))
        looked.clear()
        known.update(keys.expand(2, -1, -1), of_frame, number, nearby=nearby)
        assert len(looked) == (number == 3)
        plain.update(keys.expand(2, -1, -1), of_frame, number)
        assert all(torch.equal(a, b) for a, b in zip(known.state().values(), plain.state().values(), strict=True))


def test_annotated_entries_are_read_alone() -> None:
    """Two classes with the same keys; a later frame says the opposite of the annotated one at the same key."""
    bank = FeatureBank(BankConfig(budget=64, protect_annotated=True, merge_threshold=1.0), CPU)
    bank.add_classes(2, 2, 3)
    key = torch.tensor([[10.0, 0.0], [0.0, 10.0]])
    given = torch.tensor([[[7.0, 1.0, 0.0], [7.0, 0.0, 0.0]], [[7.0, 0.0, 1.0], [7.0, 1.0, 1.0]]])
    bank.update(key.expand(2, -1, -1), given, 0, annotated=frozenset({0, 1}))
    bank.update(1.01 * key.expand(2, -1, -1), 1.0 - given, 1)
    alone, similarity = bank.annotated(2).read(torch.tensor([[9.0, 0.0]]))
    assert similarity.tolist() == [[1.0], [1.0]]
    assert alone.tolist() == [[pytest.approx([1.0, 0.0])], [pytest.approx([0.0, 1.0])]]
    everything = bank.read(torch.tensor([[9.0, 0.0]]))[..., 1:]
    assert float((everything - alone).abs().min()) > 0.3


def test_copies_of_annotated_entries_hold_until_another_mask_is_given() -> None:
    bank = FeatureBank(BankConfig(budget=8, protect_annotated=True, merge_threshold=1.0), CPU)
    bank.add_classes(2, 2, 3)
    both = frozenset({0, 1})
    bank.update(torch.randn(2, 2).expand(2, -1, -1), torch.rand(2, 2, 3), 0, annotated=both)
    first = bank.annotated(2)
    for frame in range(1, 6):  # more than the budget: others are evicted
        bank.update(torch.randn(2, 2).expand(2, -1, -1), torch.rand(2, 2, 3), frame)
        assert bank.annotated(2) is first
    bank.update(torch.randn(2, 2).expand(2, -1, -1), torch.rand(2, 2, 3), 6, annotated=both)
    assert bank.annotated(2) is not first
    restored = FeatureBank(bank.config, CPU)
    restored.load_state(bank.state())
    queries = torch.randn(5, 2)
    assert torch.equal(restored.annotated(2).read(queries).masks, bank.annotated(2).read(queries).masks)


def test_where_nothing_is_annotated_all_entries_are_read() -> None:
    bank = FeatureBank(BankConfig(budget=64), CPU)
    bank.add_classes(2, 2, 3)
    bank.update(torch.randn(4, 2).expand(2, -1, -1), torch.rand(2, 4, 3), 0)
    queries = torch.randn(5, 2)
    assert torch.allclose(bank.annotated(2).read(queries).masks, bank.read(queries)[..., 1:], atol=1e-6)
    bank.update(torch.randn(4, 2).expand(2, -1, -1), torch.rand(2, 4, 3), 1)
    assert torch.allclose(bank.annotated(2).read(queries).masks, bank.read(queries)[..., 1:], atol=1e-6)
