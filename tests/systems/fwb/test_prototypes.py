"""Prototypes by k-means and the maps that they give, against numbers worked out by hand."""

import pytest
import torch

from vossegcli.systems.fwb.prototypes import class_maps, class_vectors, compare, k_means, maps_count, prototypes_of

#: Two clusters of cells on a line, and a cell far away.
CELLS = torch.tensor([[0.0], [1.0], [10.0], [12.0], [100.0]])


def test_k_means_finds_what_lies_together() -> None:
    clusters = k_means(CELLS, torch.ones(5), 3)
    assert clusters[0] == clusters[1]
    assert clusters[2] == clusters[3]
    assert len(set(clusters.tolist())) == 3
    assert torch.equal(clusters, k_means(CELLS, torch.ones(5), 3)), "the same cells give the same clusters"
    draws = {
        tuple(k_means(torch.rand(50, 2, generator=torch.Generator().manual_seed(0)), torch.ones(50), 9, i).tolist())
        for i in range(3)
    }
    assert len(draws) == 3, "in one draw"


def test_prototypes_are_weighted_means() -> None:
    found = prototypes_of(CELLS, torch.tensor([1.0, 3.0, 1.0, 1.0, 0.0]), 2)
    assert sorted(found.flatten().tolist()) == [0.75, 11.0], "a cell without weight counts for nothing"
    assert prototypes_of(CELLS, torch.ones(5), 1).item() == pytest.approx(123 / 5)


def test_more_prototypes_than_cells_repeat_what_is_there() -> None:
    found = prototypes_of(CELLS[:2], torch.ones(2), 4)
    assert found.shape == (4, 1)
    assert {0.0, 1.0} <= set(found.flatten().tolist()) <= {0.0, 0.5, 1.0}
    assert not prototypes_of(CELLS, torch.zeros(5), 2).any()


def test_prototypes_pass_the_gradient_to_their_cells() -> None:
    cells = CELLS.clone().requires_grad_()
    prototypes_of(cells, torch.tensor([1.0, 3.0, 1.0, 1.0, 0.0]), 2).sum().backward()
    assert cells.grad is not None
    assert cells.grad.flatten().tolist() == [0.25, 0.75, 0.5, 0.5, 0.0]


def test_the_vectors_of_a_class_by_hand() -> None:
    features = torch.tensor([[[[4.0, 2.0, 1.0, 3.0]]]])
    inside = torch.tensor([[[1.0, 0.8, 0.2, 0.0]]])
    paper = class_vectors(features, inside, 1.0 - inside, (0, 0))
    assert paper.tolist() == [[pytest.approx((4 + 1.6 + 0.2) / 2)]]
    vectors = class_vectors(features, inside, 1.0 - inside, (1, 1)).flatten().tolist()
    assert vectors[1] == pytest.approx((4 + 1.6) / 1.8), "cells that are mostly something else do not count"
    assert vectors[2] == pytest.approx((0.8 + 3) / 1.8)
    small = torch.tensor([[[0.1, 0.0, 0.0, 0.0]]])
    assert class_vectors(features, small, 1.0 - small, (1, 1))[1].item() == 4.0, "unless there are no others"


def test_maps_by_hand() -> None:
    """Two channels, each a group of its own; one prototype of the class, two of the surroundings."""
    vectors = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [3.0, 0.0], [0.0, 5.0]]])
    features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    (maps,) = class_maps(compare(vectors, torch.ones(2), features, 1, (1, 1)))[0, :, :, 0, 0]
    # Cosine to (1, 0); minus the length of (3, 4); nearer in the first, the second and both channels.
    nearer = [0.0 - 3.0, 1.0 - 4.0, 10**0.5 - 5.0]
    assert maps.tolist() == pytest.approx([0.6, -5.0, *nearer], abs=1e-2)
    assert maps_count(1, (1, 1)) == len(maps)
    whole = class_maps(compare(vectors, torch.ones(2), features, 1, (2,)))[0, 0, :, 0, 0]
    assert whole.tolist() == pytest.approx([0.6, -5.0, nearer[2]], abs=1e-3)
    paper = class_maps(compare(vectors[:, :1], torch.ones(2), features, 0, (1, 1)))
    assert paper.flatten().tolist() == pytest.approx([0.6])
