"""Masks that a person gave, laid over what was predicted."""

import torch

from vossegcli.runners.propagate.overruling import as_given, overruled, without
from vossegcli.systems.base import Segmentation

IDS = (3, 7)
LABELS = torch.tensor([[0, 3, 3], [7, 7, 0]], dtype=torch.int32)


def predicted() -> Segmentation:
    probs = (lambda: torch.full((2, 3), 0.6), lambda: torch.full((2, 3), 0.3))
    return Segmentation(LABELS, torch.tensor([0.2, 0.4]), torch.tensor([0.5, 0.6]), torch.tensor([0.9, 0.8]), probs)


def test_what_was_given_is_certain() -> None:
    found = as_given(LABELS, (*IDS, 9))
    assert found.peaks.tolist() == [1.0, 1.0, 0.0]
    assert found.uncertainty.tolist() == [0.0] * 3
    assert torch.equal(found.probs[0], (LABELS == 3).float())
    assert found.probs[2].sum() == 0


def test_what_is_gone_is_gone() -> None:
    found = without(predicted(), IDS, frozenset({7}))
    assert found.label_map.tolist() == [[0, 3, 3], [0, 0, 0]]
    assert found.uncertainty.tolist()[1] == found.peaks.tolist()[1] == 0.0
    assert found.agreement.tolist() == [0.5, 1.0]
    assert found.probs[0].unique().tolist() == torch.tensor([0.6]).tolist()
    assert not found.probs[1].any()


def test_given_objects_overrule() -> None:
    given = torch.tensor([[9, 9, 0], [0, 0, 7]], dtype=torch.int32)
    found = overruled(predicted(), given, (*IDS, 9))
    assert found.label_map.tolist() == [[9, 9, 3], [0, 0, 7]], "the rest of 7 was wrong"
    assert torch.allclose(found.uncertainty, torch.tensor([0.2, 0.0, 0.0]))
    assert torch.allclose(found.peaks, torch.tensor([0.9, 1.0, 1.0]))
    assert torch.allclose(found.agreement, torch.tensor([0.5, 1.0, 1.0]))
    assert torch.allclose(found.probs[0], 0.6 * (given == 0))
    assert torch.equal(found.probs[1], (given == 7).float())
    assert torch.equal(found.probs[2], (given == 9).float())
