"""Statistics that tell an image with the class from one without, by hand."""

import pytest
import torch

from vossegcli.systems.fwb.presence import make_reference, presence_statistics, statistics_count

#: Two supports of two cells with two channels, each a group of its own; the class is the first cell.
FEATURES = torch.tensor([[[[4.0, 0.0]], [[1.0, 1.0]]], [[[2.0, 0.0]], [[1.0, 3.0]]]])
INSIDE = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
MAPS = torch.tensor([[[[0.9, 0.1]]], [[[0.7, 0.2]]]])
GROUPS = (1, 1)


def test_the_reference_by_hand() -> None:
    found = make_reference(FEATURES, INSIDE, 1.0 - INSIDE, MAPS, GROUPS)
    assert found.inside.tolist() == [3.0, 1.0]
    assert found.outside.tolist() == [0.0, 2.0]
    # Each is 2 from the other in the first channel, where class and surroundings are 3 apart; alike in the second.
    assert found.spread.tolist() == pytest.approx([2 / 3, 0.0], abs=3e-3)
    assert found.levels.tolist() == pytest.approx([0.8])
    assert float(found.single) == 0.0
    alone = make_reference(FEATURES[:1], INSIDE[:1], 1.0 - INSIDE[:1], MAPS[:1], GROUPS)
    assert float(alone.single) == 1.0
    assert float(alone.spread[0]) == pytest.approx(0.0, abs=2e-3)


def test_statistics_by_hand() -> None:
    reference = make_reference(FEATURES, INSIDE, 1.0 - INSIDE, MAPS, GROUPS)
    probs = torch.tensor([[[0.8, 0.2]]])
    found = presence_statistics(reference, FEATURES[:1], MAPS[:1], probs, GROUPS)[0].tolist()
    assert len(found) == statistics_count(maps=1, groups=2)
    assert found[0] == pytest.approx(torch.tensor(0.501).log().item(), abs=1e-4)  # how much
    assert found[1:3] == pytest.approx([0.8, 0.68])  # the best cell; how certain
    assert found[3] == pytest.approx(0.8 * 0.9 + 0.2 * 0.1 - 0.8)  # against the supports
    # The mean of what was found is (3.2, 1): distances to (3, 1) and (0, 2), in units of 3 and 1.
    assert found[4:6] == pytest.approx([0.2 / 3, 0.0], abs=3e-3)
    assert found[6:8] == pytest.approx([3.2 / 3, 1.0], abs=3e-3)
    assert found[-1] == 0.0
