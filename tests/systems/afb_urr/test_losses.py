import math

import pytest
import torch

from vossegcli.systems.afb_urr import losses
from vossegcli.systems.afb_urr.train import _mean_iou, lose_parts


def test_hard_pixels_are_the_ones_that_count() -> None:
    logits = torch.tensor([0.0, 0.0, 4.0, 4.0]).view(1, 1, 2, 2)
    logits = torch.cat([logits, torch.zeros_like(logits)], dim=1)
    labels = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert float(losses.hard_pixel_cross_entropy(logits, labels, 0.5)) == pytest.approx(math.log(2.0))
    easy = math.log(1.0 + math.exp(-4.0))
    assert float(losses.hard_pixel_cross_entropy(logits, labels, 1.0)) == pytest.approx((math.log(2.0) + easy) / 2)


def test_confidence_loss_is_the_root_mean_square_of_the_uncertainty() -> None:
    probs = torch.tensor([[0.5, 0.9], [0.5, 0.1]]).view(1, 2, 1, 2)
    expected = math.sqrt((1.0 + math.exp(1.0 - 9.0) ** 2) / 2)
    assert float(losses.confidence_loss(probs)) == pytest.approx(expected, rel=1e-5)


def test_correspondence_targets_follow_the_texture_and_the_place() -> None:
    places = torch.tensor([[[0.0, 0.0], [5.0, 5.0], [1.0, 0.0]]])
    textures = torch.tensor([[0, 0, 1]])
    other_places = torch.tensor([[[1.0, 0.0], [0.0, 0.1]]])
    other_textures = torch.tensor([[1, 0]])
    targets, visible = losses.correspondence_targets(places, textures, other_places, other_textures)
    assert visible.tolist() == [[True, False, True]]
    assert targets[0, 0].tolist() == pytest.approx([0.0, 1.0])
    assert targets[0, 2].tolist() == pytest.approx([1.0, 0.0])


def test_a_cell_between_two_is_shared_by_a_gaussian_of_half_a_cell() -> None:
    textures = torch.zeros(1, 1, dtype=torch.int64)
    others = torch.tensor([[[0.2, 0.0], [-0.6, 0.0]]])
    targets, _ = losses.correspondence_targets(torch.zeros(1, 1, 2), textures, others, textures.expand(1, 2))
    ratio = float(targets[0, 0, 0] / targets[0, 0, 1])
    assert ratio == pytest.approx(math.exp((0.36 - 0.04) / (2 * 0.5**2)), rel=1e-4)


def test_correspondence_loss_counts_cells_of_other_clips_as_wrong() -> None:
    keys = torch.eye(4).view(2, 2, 4) * 2.0
    targets, visible = torch.eye(2).expand(2, 2, 2), torch.ones(2, 2, dtype=torch.bool)
    loss = losses.correspondence_loss(keys, keys, targets, visible)
    right = math.exp(4.0 / 2.0)
    assert float(loss) == pytest.approx(-math.log(right / (right + 3.0)), rel=1e-5)


def test_mask_reading_loss_is_zero_when_right() -> None:
    truth = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    assert float(losses.mask_reading_loss(truth, truth)) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.mask_reading_loss(1.0 - truth, truth)) == pytest.approx(-math.log(1e-4), rel=1e-4)


def test_mean_iou_without_objects_is_one() -> None:
    empty = torch.zeros(2, 4, 4, dtype=torch.int64)
    assert float(_mean_iou(empty, empty, 3)) == 1.0
    half = empty.clone()
    half[0, 0, :2] = 1
    truth = empty.clone()
    truth[0, 0, :4] = 1
    assert float(_mean_iou(half, truth, 3)) == 0.5


def test_a_missed_pixel_costs_more_than_a_wrong_one() -> None:
    undecided = torch.zeros(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    assert float(losses.hard_pixel_cross_entropy(undecided, labels, 1.0, missed=3.0)) == pytest.approx(
        (1.0 + 3.0) / 2 * math.log(2.0)
    )


def test_lost_parts_become_background() -> None:
    torch.manual_seed(0)
    probs = torch.rand(6, 3, 48, 48).softmax(dim=1)
    assert torch.allclose(lose_parts(probs, 0.0), probs, atol=1e-6)
    lossy = lose_parts(probs, 1.0)
    assert torch.allclose(lossy.sum(dim=1), torch.ones(6, 48, 48), atol=1e-6)
    lost = (lossy[:, 1:] == 0.0).all(dim=1)
    assert torch.allclose(lossy.permute(0, 2, 3, 1)[~lost], probs.permute(0, 2, 3, 1)[~lost], atol=1e-6)
    assert 0.1 < float(lost.float().mean()) < 0.6
