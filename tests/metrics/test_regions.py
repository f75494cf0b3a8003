import numpy as np
import pytest

from vossegcli.metrics.regions import region_similarity


def test_by_hand() -> None:
    predicted = np.array([[1, 1, 0], [2, 2, 0]])
    truth = np.array([[1, 0, 0], [2, 2, 3]])
    assert region_similarity(predicted, truth, (1, 2, 3, 9)) == {1: 0.5, 2: 1.0, 3: 0.0, 9: 1.0}


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="label maps"):
        region_similarity(np.zeros((2, 2), int), np.zeros((2, 3), int), (1,))
