"""Masks inside boxes brought into their image."""

import pytest
import torch

from vossegcli.ops.masks import paste_mask


def test_a_full_mask_fills_its_box() -> None:
    top, left, region = paste_mask(torch.ones(7, 7), torch.tensor([3.0, 2.0, 9.0, 6.0]), (10, 12))
    assert (top, left) == (2, 3)
    assert region.shape == (4, 6)
    assert region[1:-1, 1:-1].all()


def test_half_a_mask_is_half_the_box() -> None:
    mask = torch.zeros(8, 8)
    mask[:, 4:] = 1.0
    _, _, region = paste_mask(mask, torch.tensor([0.0, 0.0, 16.0, 16.0]), (16, 16))
    assert region[8].tolist() == [False] * 8 + [True] * 8


@pytest.mark.parametrize("box", [[-20.0, 2.0, -4.0, 9.0], [4.0, 4.0, 4.0, 9.0], [30.0, 0.0, 40.0, 5.0]])
def test_boxes_beyond_the_image_are_empty(box: list[float]) -> None:
    assert paste_mask(torch.ones(4, 4), torch.tensor(box), (10, 12))[2].numel() == 0


def test_a_box_over_the_border_is_cut() -> None:
    top, left, region = paste_mask(torch.ones(8, 8), torch.tensor([-4.0, -4.0, 4.0, 4.0]), (10, 12))
    assert (top, left, tuple(region.shape)) == (0, 0, (4, 4))
    assert region[:3, :3].all()
