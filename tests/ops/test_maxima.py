import pytest
import torch

from vossegcli.ops.maxima import row_maxima


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_row_maxima_agree_with_max(precision: torch.dtype) -> None:
    x = torch.randn(50, 333, generator=torch.Generator().manual_seed(0)).to(precision)
    x[7, [20, 300]] = 9.0  # twice: the first counts
    values, columns = row_maxima(x)
    assert torch.equal(values, x.amax(dim=1))
    assert torch.equal(x.gather(1, columns.unsqueeze(1)).squeeze(1), values)
    assert int(columns[7]) == 20


def test_row_maxima_of_no_row() -> None:
    values, columns = row_maxima(torch.zeros(0, 3))
    assert values.shape == columns.shape == (0,)
