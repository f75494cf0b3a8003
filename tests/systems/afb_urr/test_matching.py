import math
import os
from pathlib import Path

import pytest
import torch

from vossegcli.systems.afb_urr.entries import closest_entries
from vossegcli.systems.afb_urr.matching import (
    BLOCK,
    count_above,
    local_weights,
    read_locally,
    read_memory,
    read_rows,
    windows,
)


def test_read_is_the_softmax_mean_of_the_values() -> None:
    keys = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    reading = read_memory(keys, values, torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
    weight = math.exp(3.0) / (math.exp(3.0) + 1.0)  # 2 * 3 / sqrt(4) = 3 against 0
    assert reading.values[0].tolist() == pytest.approx([weight, 1.0 - weight], rel=1e-6)


def test_hits_count_queries_above_a_thousandth() -> None:
    keys = torch.tensor([[10.0], [0.0]])
    reading = read_memory(keys, torch.eye(2), torch.tensor([[1.0], [-1.0], [0.0]]))
    assert reading.hits.tolist() == [2, 2]  # e^-10 is below 1e-3, one half is above


@pytest.mark.parametrize("limit", [1, 7, 64, 10_000])
def test_chunks_change_nothing(limit: int) -> None:
    generator = torch.Generator().manual_seed(0)
    keys, values, queries = (torch.randn(n, 5, generator=generator) for n in (31, 31, 17))
    whole, parts = read_memory(keys, values, queries), read_memory(keys, values, queries, limit)
    torch.testing.assert_close(whole.values, parts.values)
    assert torch.equal(whole.hits, parts.hits)


def test_agrees_with_torchs_attention() -> None:
    generator = torch.Generator().manual_seed(1)
    keys, values, queries = (torch.randn(n, 8, generator=generator) for n in (40, 40, 9))
    expected = torch.nn.functional.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
    torch.testing.assert_close(read_memory(keys, values, queries).values, expected)


def test_half_precision_reads_the_same() -> None:
    generator = torch.Generator().manual_seed(1)
    keys, values, queries = (torch.randn(n, 8, generator=generator) for n in (700, 700, 9))
    whole, half = read_memory(keys, values, queries), read_memory(keys, values.bfloat16(), queries, 2_000)
    torch.testing.assert_close(half.values.float(), whole.values, rtol=0.02, atol=0.01)
    assert torch.equal(half.hits, whole.hits)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 256, 700])
def test_counts_are_exact_in_half_precision(rows: int, precision: torch.dtype) -> None:
    x = torch.rand(rows, 9, generator=torch.Generator().manual_seed(0)).to(precision)
    x[:, 0] = 1.0  # 700 is no number of bfloat16
    expected = (x > 0.25).sum(dim=0).float()
    assert torch.equal(count_above(x, 0.25), expected)


@pytest.mark.parametrize("entries", [1, 15, 16, 33])
def test_closest_entries_are_among_the_entries(entries: int) -> None:
    keys = torch.rand(entries, 4, generator=torch.Generator().manual_seed(0))
    similarity, index = closest_entries(-keys[:3], keys)  # all are unlike
    cosines = torch.nn.functional.cosine_similarity(-keys[:3, None], keys, dim=2)
    torch.testing.assert_close(similarity, cosines.amax(dim=1))
    assert torch.equal(index, cosines.argmax(dim=1))


def test_unit_keys_are_compared_in_half_precision() -> None:
    generator = torch.Generator().manual_seed(2)
    keys, queries = (
        14.0 * torch.nn.functional.normalize(torch.randn(n, 64, generator=generator), dim=1) for n in (700, 9)
    )
    queries = 0.6 * queries + 0.4 * keys[:9]
    values = torch.randn(700, 8, generator=generator)
    whole = read_memory(keys, values, queries)
    half = read_memory(keys, values.bfloat16(), queries, 2_000, unit_keys=True)
    torch.testing.assert_close(half.values.float(), whole.values, rtol=0.05, atol=0.02)
    assert float((half.hits - whole.hits).abs().max()) <= 1.0


def test_a_few_entries_are_read_and_compared_at_once() -> None:
    generator = torch.Generator().manual_seed(3)
    keys, values, queries = (torch.randn(n, 5, generator=generator) for n in (31, 31, 17))
    means, cosines = read_rows(keys, values, queries)
    torch.testing.assert_close(means, read_memory(keys, values, queries).values)
    torch.testing.assert_close(cosines, closest_entries(queries, keys)[0])


def test_unit_keys_of_a_few_entries_are_compared_in_half_precision() -> None:
    generator = torch.Generator().manual_seed(4)
    keys, queries = (
        14.0 * torch.nn.functional.normalize(torch.randn(n, 64, generator=generator), dim=1) for n in (700, 9)
    )
    values = torch.randn(700, 8, generator=generator)
    means, cosines = read_rows(keys, values, queries)
    half, half_cosines = read_rows(keys, values.bfloat16(), queries, unit_keys=True)
    torch.testing.assert_close(half, means, rtol=0.05, atol=0.05)
    torch.testing.assert_close(half_cosines, cosines, rtol=0.0, atol=0.01)
    alike = torch.cat([queries, keys])
    assert float(read_rows(alike, torch.ones(709, 1).bfloat16(), queries, unit_keys=True)[1].min()) > 0.99


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_memory_that_grows_entry_by_entry_leaves_nothing_behind() -> None:
    keys, values, queries = torch.randn(700, 64), torch.randn(700, 128).bfloat16(), torch.randn(48, 64)
    read_memory(keys, values, queries)
    before = resident_mebibytes()
    for entries in range(100, 700, 2):
        read_memory(keys[:entries], values[:entries], queries)
    assert resident_mebibytes() - before < 20.0  # with a program compiled for each size: 100 and more


def resident_mebibytes() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_local_weights_prefer_near_cells_when_keys_say_nothing() -> None:
    keys = torch.zeros(1, 4, 5, 3)
    (block,) = local_weights(keys, keys, torch.tensor(1.0), 1, 0)
    weights = block[0]  # (5,3,9): rows above, own and below
    assert weights.sum(dim=-1).flatten().tolist() == pytest.approx([1.0] * 15)
    assert weights[2, 1].argmax() == 4
    assert float(weights[2, 1, 3] / weights[2, 1, 4]) == pytest.approx(math.exp(-0.5), rel=1e-5)
    assert float(weights[2, 1, 0] / weights[2, 1, 4]) == pytest.approx(math.exp(-1.0), rel=1e-5)
    assert weights[0, 0, :3].tolist() == [0.0, 0.0, 0.0]  # there is no row above the first


@pytest.mark.parametrize("width", [5, BLOCK, 2 * BLOCK + 4])
def test_local_read_is_dense_attention_with_a_prior(width: int) -> None:
    generator = torch.Generator().manual_seed(2)
    keys, queries, values = (torch.randn(2, 6, 4, width, generator=generator) for _ in range(3))
    rows, columns = 3, 2 * BLOCK  # sees all
    weights = local_weights(keys, queries, torch.tensor(1.7), rows, columns)
    y, x = (c.flatten().float() for c in torch.meshgrid(torch.arange(4), torch.arange(width), indexing="ij"))
    distance = (y[:, None] - y).square() + (x[:, None] - x).square()
    similarity = queries.flatten(2).transpose(1, 2) @ keys.flatten(2) / math.sqrt(6)
    dense = (similarity - distance / (2 * 1.7**2)).softmax(dim=2)  # (2,4w,4w)
    expected = (dense @ values.flatten(2).transpose(1, 2)).transpose(1, 2).view_as(values)
    torch.testing.assert_close(read_locally(weights, values, rows, columns), expected, rtol=1e-4, atol=1e-5)


def test_local_weights_hardly_depend_on_columns_beyond_four_deviations() -> None:
    generator = torch.Generator().manual_seed(3)
    keys, queries, values = (torch.randn(1, 8, 5, 60, generator=generator) for _ in range(3))
    far, near = (
        read_locally(local_weights(keys, queries, torch.tensor(3.0), 2, columns), values, 2, columns)
        for columns in (60, 12)
    )
    torch.testing.assert_close(near, far, rtol=0.0, atol=1e-3)


def test_windows_hold_the_cells_around() -> None:
    cells = (torch.arange(5.0).view(5, 1) * 100 + torch.arange(BLOCK + 3.0)).view(1, 1, 5, -1)
    first, last = windows(cells, 1, 1)  # 3 rows of BLOCK + 1 columns, and what is around them
    assert first.shape == (1, 3, 3 * (BLOCK + 2), 1)
    assert last[0, :, :, 0].tolist() == [
        [row * 100 + column for row in range(top, top + 3) for column in range(BLOCK, BLOCK + 3)] for top in range(3)
    ]
