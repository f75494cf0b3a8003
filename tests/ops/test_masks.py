import pytest
import torch

from vossegcli.ops.masks import paste_mask

LEFT_HALF = torch.tensor([[1.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("box", "top", "left", "pixels"),
    [
        ((1.0, 2.0, 5.0, 4.0), 2, 1, [[1, 1, 0, 0], [1, 1, 0, 0]]),
        ((-2.0, 0.0, 2.0, 2.0), 0, 0, [[0, 0], [0, 0]]),  # only its empty half is in the image
        ((6.0, -1.0, 10.0, 1.0), 0, 6, [[1, 1]]),
        ((8.0, 0.0, 9.0, 2.0), 0, 8, []),  # beyond it
        ((3.0, 3.0, 3.0, 5.0), 3, 3, []),  # no width
    ],
)
def test_the_mask_of_a_box_becomes_the_pixels_that_the_box_touches(
    box: tuple[float, ...], top: int, left: int, pixels: list[list[int]]
) -> None:
    found = paste_mask(LEFT_HALF, torch.tensor(box), (6, 8))
    assert (found[0], found[1], found[2].int().tolist()) == (top, left, pixels)
