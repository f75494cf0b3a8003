"""Targets, blender, scores and losses of B2Inst against numbers worked out by hand.

Covers: systems.b2inst.blender, systems.b2inst.losses, systems.b2inst.mask_scoring, systems.b2inst.targets
"""

import pytest
import torch

from vossegcli.systems.b2inst.blender import blend, crop_bases, enlarge, fitting_resolution
from vossegcli.systems.b2inst.losses import boundary_losses, box_loss, mask_loss
from vossegcli.systems.b2inst.mask_scoring import boundary_dice, final_score, mask_iou, scoring_loss
from vossegcli.systems.b2inst.targets import (
    assign_locations,
    centerness_of,
    masks_in_boxes,
)


def test_a_score_that_has_gone_to_zero_comes_back() -> None:
    """Cross entropy by hand, and its gradient where a squared error of the sigmoid would have none."""
    half, sure = torch.zeros(2), torch.full((2,), -30.0, requires_grad=True)
    truth = torch.tensor([0.25, 0.75])
    loss = scoring_loss(half, sure, truth, truth)
    assert float(loss.detach()) == pytest.approx(0.6931 + 30.0 * 0.5, abs=1e-3)
    loss.backward()
    assert sure.grad is not None
    assert sure.grad.tolist() == pytest.approx([-0.125, -0.375])
    assert float(scoring_loss(half[:0], half[:0], truth[:0], truth[:0])) == 0.0


def test_a_location_takes_the_smallest_instance_around_it() -> None:
    boxes = torch.tensor([[0.0, 0.0, 60.0, 60.0], [16.0, 16.0, 48.0, 48.0]])
    found = assign_locations(boxes, [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)])
    fine = found.instance[:64].view(8, 8)
    assert (fine[3:5, 3:5] == 1).all(), "cells around the common centre"
    assert int((fine == 1).sum()) == 4
    assert int(fine[2, 2]) == 0, "nearer than 1.5 cells to the centre of the large one alone"
    assert int(fine[1, 1]) == -1
    assert found.sides[3 * 8 + 3].tolist() == pytest.approx([12 / 8, 12 / 8, 20 / 8, 20 / 8])


def test_levels_are_for_sizes() -> None:
    boxes = torch.tensor([[0.0, 0.0, 200.0, 200.0]])
    sizes = [(32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]
    found = assign_locations(boxes, sizes)
    counts = [h * w for h, w in sizes]
    parts = found.instance.split(counts)
    assert [bool((part >= 0).any()) for part in parts] == [False, True, True, False, False]
    assert (assign_locations(torch.zeros(0, 4), sizes).instance == -1).all()


def test_centerness_by_hand() -> None:
    sides = torch.tensor([[1.0, 2.0, 4.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
    assert centerness_of(sides).tolist() == pytest.approx([0.5, 1.0])


def test_masks_are_looked_up_in_the_middle_of_the_bins() -> None:
    ids = torch.tensor([[1, 1, 2, 2]] * 4)
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 4.0, 4.0]])
    found = masks_in_boxes(ids, boxes, torch.tensor([0, 1]), 4)
    assert found[0, 0].tolist() == [1, 1, 0, 0]
    assert (found[1] == 1).all()


def test_blending_is_a_weighted_sum() -> None:
    crops = torch.tensor([[[[2.0]], [[-4.0]]]]).expand(1, 2, 4, 4)
    attention = torch.log(torch.tensor([[[[3.0]], [[1.0]]]]))  # weights 3/4 and 1/4
    assert blend(crops, attention)[0].flatten().tolist() == pytest.approx([0.5] * 16)


def test_bases_are_cut_at_boxes() -> None:
    bases = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    crop = crop_bases(bases, torch.tensor([[8.0, 8.0, 24.0, 24.0]]), torch.tensor([0]), 4)
    assert crop[0, 0, 0].tolist() == pytest.approx([2.0, 3.0, 4.0, 5.0])


def test_scores_by_hand() -> None:
    one, other = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])
    assert mask_iou(one, other).tolist() == pytest.approx([1 / 3])
    assert boundary_dice(one, other).tolist() == pytest.approx([(2 * 1 + 1) / (2 + 2 + 1)])
    assert final_score(torch.tensor([0.8]), torch.tensor([0.9]), torch.tensor([0.4])).item() == pytest.approx(0.48)


def test_losses_are_nothing_where_all_is_right() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[0, 2:6, 2:6] = 1.0
    sure = 40.0 * truth - 20.0
    weights = torch.ones(1)
    assert float(mask_loss(sure, truth, weights)) < 1e-4
    terms = boundary_losses(sure, truth, 1.0 - truth)
    assert all(float(value) < 1e-4 for value in terms.values())
    astray = boundary_losses(-sure, truth, 1.0 - truth)
    assert float(astray["boundary_distance"]) == pytest.approx(1.0), "all that is predicted is far away"
    box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    assert float(box_loss(box, box, weights)) == pytest.approx(0.0, abs=1e-6)


def test_masks_get_the_cells_that_the_largest_needs() -> None:
    boxes = torch.tensor([[0.0, 0.0, 40.0, 20.0], [0.0, 0.0, 10.0, 10.0]])
    assert fitting_resolution(boxes[:0], 8, 32) == 8
    assert fitting_resolution(boxes[1:], 8, 32) == 8
    assert fitting_resolution(boxes, 8, 32) == 16, "40 pixels are 10 cells of stride 4"
    assert fitting_resolution(20.0 * boxes, 8, 28) == 28, "and no more than the most"


def test_large_masks_are_assembled_anew() -> None:
    """A step between two cells of the bases is sharper at twice the side; a small instance is interpolated."""
    bases = torch.full((1, 1, 32, 32), -8.0)
    bases[:, :, :, 5:] = 8.0
    boxes = torch.tensor([[0.0, 0.0, 64.0, 64.0], [0.0, 0.0, 32.0, 32.0]])
    images, attention = torch.zeros(2, dtype=torch.int64), torch.zeros(2, 1, 2, 2)
    masks = blend(crop_bases(bases, boxes, images, 8), attention).sigmoid()
    same = enlarge(masks, boxes, bases, images, attention, 8)
    fine = enlarge(masks, boxes, bases, images, attention, 16)
    assert torch.equal(same, masks)
    assert fine.shape == (2, 16, 16)
    assert (fine[0, 0] > 0.5).tolist() == [False] * 5 + [True] * 11
    interpolated = torch.nn.functional.interpolate(masks[None, 1:], size=(16, 16), mode="bilinear")[0, 0]
    assert torch.allclose(fine[1], interpolated)
