"""Boundaries against numbers worked out by hand."""

import torch

from vossegcli.ops.boundaries import boundary_map, soft_boundary


def test_the_boundary_is_where_the_laplacian_of_a_mask_is_positive() -> None:
    mask = torch.zeros(1, 5, 6)
    mask[0, 1:4, 1:4] = 1.0
    assert soft_boundary(mask)[0].tolist() == [
        [0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0],
    ]  # fmt: skip


def test_one_boundary_map_for_all_instances() -> None:
    """Touching instances have a boundary between them; the border of the image is none."""
    ids = torch.tensor([[1, 1, 1, 2, 2, 2, 0]] * 3)
    assert boundary_map(ids)[1].tolist() == [0, 0, 1, 1, 0, 1, 0]
    joined = torch.zeros(3, 7)
    for number in (1, 2):
        joined = torch.maximum(joined, soft_boundary((ids == number).float()[None])[0])
    assert torch.equal(boundary_map(ids), joined)
