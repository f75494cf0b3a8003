import numpy as np
import pytest

from vossegcli.metrics.regions import Box, object_boxes, region_similarity


def test_by_hand() -> None:
    predicted = np.array([[1, 1, 0], [2, 2, 0]])
    truth = np.array([[1, 0, 0], [2, 2, 3]])
    assert region_similarity(predicted, truth, (1, 2, 3, 9)) == {1: 0.5, 2: 1.0, 3: 0.0, 9: 1.0}


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="label maps"):
        region_similarity(np.zeros((2, 2), int), np.zeros((2, 3), int), (1,))


def test_boxes_by_hand() -> None:
    ids_map = np.zeros((6, 7), np.uint8)
    ids_map[1, 2:4] = 3
    ids_map[4, 5] = 3
    ids_map[2:4, [0, 6]] = 200  # at both edges: the rows do not run into each other
    assert object_boxes(ids_map) == {3: Box(1, 5, 2, 6), 200: Box(2, 4, 0, 7)}
    assert object_boxes(np.zeros((6, 7), np.uint8)) == {}


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
@pytest.mark.parametrize("share", [0.02, 0.4, 1.0])
def test_boxes_of_any_map(dtype: type, share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        shape = rng.integers(1, 9, 2)
        ids_map = (rng.integers(1, 5, shape) * (rng.random(shape) < share)).astype(dtype)
        expected = {}
        for object_id in np.unique(ids_map[ids_map != 0]).tolist():
            rows, columns = np.nonzero(ids_map == object_id)
            expected[object_id] = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
        assert object_boxes(ids_map) == expected
