"""The formulas of feature weighting and boosting against numbers worked out by hand.

Covers: systems.fwb.boosting, systems.fwb.feature_weighting, systems.fwb.losses
"""

import pytest
import torch
from torch import Tensor

from vossegcli.systems.fwb.boosting import boost, join_experts, mean_iou
from vossegcli.systems.fwb.feature_weighting import class_average, class_difference, relevance, similarity_maps

#: One support, two channels, four cells in a row; the class is the first two cells.
FEATURES = torch.tensor([[[[4.0, 2.0, 1.0, 1.0]], [[1.0, 1.0, 3.0, 5.0]]]])
MASK = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])


def test_class_average_by_hand() -> None:
    assert class_average(FEATURES, MASK).tolist() == [[3.0, 1.0]]
    soft = torch.tensor([[[1.0, 0.5, 0.0, 0.0]]])
    assert class_average(FEATURES, soft)[0].tolist() == pytest.approx([5.0 / 1.5, 1.0])
    assert class_average(FEATURES, torch.zeros_like(MASK)).tolist() == [[0.0, 0.0]]


def test_class_difference_by_hand() -> None:
    assert class_difference(FEATURES, MASK).tolist() == [2.0, -3.0]
    twice = class_difference(FEATURES.repeat(2, 1, 1, 1), MASK.repeat(2, 1, 1))
    assert twice.tolist() == [4.0, -6.0], "the supports add up"
    near = torch.tensor([[[0.0, 0.0, 1.0, 0.0]]])
    assert class_difference(FEATURES, MASK, near).tolist() == [2.0, -2.0], "the last cell is no surroundings"


def test_relevance_is_the_best_unit_vector() -> None:
    phi = class_difference(FEATURES, MASK)
    best = relevance(phi)
    assert best.norm().item() == pytest.approx(1.0)
    others = torch.nn.functional.normalize(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), dim=1)
    assert (others @ phi).max() <= best @ phi + 1e-6


def test_similarity_by_hand() -> None:
    weights = torch.tensor([[[2.0, 1.0]]])
    maps = similarity_maps(torch.tensor([[[3.0, 1.0], [0.0, 1.0]]]), weights, FEATURES)
    assert maps.shape == (1, 2, 1, 4)
    # f * r = (6, 1), F_0 * r = (8, 1): 49 / (sqrt(37) sqrt(65)).
    assert maps[0, 0, 0, 0].item() == pytest.approx(49 / (37**0.5 * 65**0.5))
    # (0, 1) against (2, 3): 3 / sqrt(13).
    assert maps[0, 1, 0, 2].item() == pytest.approx(3 / 13**0.5)


def test_the_sign_of_the_weights_does_not_matter() -> None:
    prototype = torch.tensor([[[3.0, 1.0]]])
    plain = similarity_maps(prototype, torch.tensor([[[1.0, -1.0]]]), FEATURES)
    assert torch.allclose(plain, similarity_maps(prototype, torch.ones(1, 1, 2), FEATURES))


def test_each_image_may_have_its_own_prototypes() -> None:
    """As in training: what one image is compared with does not reach into another."""
    generator = torch.Generator().manual_seed(0)
    prototypes, weights = torch.randn(2, 3, 2, generator=generator), torch.randn(2, 1, 2, generator=generator)
    features = torch.randn(2, 2, 3, 4, generator=generator)
    together = similarity_maps(prototypes, weights, features)
    apart = [similarity_maps(prototypes[b : b + 1], weights[b : b + 1], features[b : b + 1]) for b in range(2)]
    assert torch.allclose(together, torch.cat(apart), atol=1e-6)


def test_iou_by_hand() -> None:
    masks = torch.tensor([[[True, True, False]], [[False, False, False]]])
    predicted = torch.tensor([[[True, False, True]], [[False, False, False]]])
    assert mean_iou(predicted, masks).item() == pytest.approx((1 / 3 + 0.0) / 2)


def test_experts_are_joined_by_their_trust() -> None:
    probabilities = torch.tensor([[[[1.0]], [[0.0]]]])
    assert join_experts(probabilities, torch.tensor([0.6, 0.2])).item() == pytest.approx(0.75)
    assert join_experts(probabilities, torch.zeros(2)).item() == 0.5


def test_boosting_follows_the_gradient_and_remembers_the_way() -> None:
    """One channel; the logit is the feature itself, everywhere the class: each step of Adam adds its rate."""
    masks = torch.ones(1, 1, 2, dtype=torch.bool)

    def segment(feature: Tensor) -> Tensor:
        logit = feature.expand(1, 1, 1, 2)
        return torch.cat([-logit, logit], dim=1)

    def loss(logits: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(logits, masks.long())

    def quality(odds: Tensor) -> Tensor:
        return mean_iou(odds > 0, masks)

    experts = boost(torch.tensor([-0.015]), segment, loss, quality, steps=4, rate=0.01)
    assert experts.features.flatten().tolist() == pytest.approx([-0.015, -0.005, 0.005, 0.015], abs=1e-4)
    assert experts.weights.tolist() == [0.0, 0.0, 1.0, 1.0]
