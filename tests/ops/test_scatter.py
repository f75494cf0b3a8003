import pytest
import torch

from vossegcli.ops import scatter


def test_mean_by_index_by_hand() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 0.0]])
    means = scatter.mean_by_index_native(rows, torch.tensor([2, 2, 0]), 4)
    assert means.tolist() == [[10.0, 0.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]


def test_torch_scatter_gives_the_same() -> None:
    pytest.importorskip("torch_scatter", reason="extra 'scatter' is not installed")
    rows, index = torch.randn(500, 16), torch.randint(0, 40, (500,))
    torch.testing.assert_close(scatter.mean_by_index(rows, index, 50), scatter.mean_by_index_native(rows, index, 50))
