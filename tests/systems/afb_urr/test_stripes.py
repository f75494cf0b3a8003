"""Stripes of rows change no number."""

import pytest
import torch

from vossegcli.systems.afb_urr import stripes
from vossegcli.systems.afb_urr.stripes import largest_probabilities, softmax_of_classes


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("most", [1, 5 * 16 * 3, 1 << 24])  # single rows, a few, all
def test_probabilities_in_stripes(monkeypatch: pytest.MonkeyPatch, classes: int, most: int) -> None:
    logits = 6.0 * torch.randn(1, classes, 11, 16, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(stripes, "MOST", most)
    assert torch.allclose(softmax_of_classes(logits, 1.5), (1.5 * logits).softmax(dim=1), atol=1e-7)
    expected = logits.softmax(dim=1)[0, 1:].amax(dim=(1, 2))
    assert torch.allclose(largest_probabilities(logits), expected, atol=1e-7)


def test_stripes_are_as_large_as_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripes, "MOST", 4 * 9 * 3)
    rows = [part.shape[2] for part in stripes._stripes(torch.zeros(1, 4, 7, 9))]
    assert rows == [3, 3, 1]
