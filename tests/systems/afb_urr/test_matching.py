import math

import pytest
import torch

from vossegcli.systems.afb_urr.matching import grid_distances, local_weights, read_memory


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


def test_grid_distances_are_squared_and_in_cells() -> None:
    distances = grid_distances(2, 3, torch.device("cpu"))
    assert distances[0].tolist() == pytest.approx([0.0, 1.0, 4.0, 1.0, 2.0, 5.0], abs=1e-5)


def test_local_weights_prefer_near_cells_when_keys_say_nothing() -> None:
    keys = torch.zeros(1, 9, 4)
    weights = local_weights(keys, keys, torch.tensor(1.0), 3, 3)[0]
    assert weights.sum(dim=1).tolist() == pytest.approx([1.0] * 9)
    assert weights[4].argmax() == 4
    assert float(weights[4, 1] / weights[4, 4]) == pytest.approx(math.exp(-0.5), rel=1e-5)
