"""Shared losses against numbers worked out by hand."""

import math

import pytest
import torch

from vossegcli.layers.losses import dice_loss, focal_class_loss


def test_dice_by_hand() -> None:
    probs = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]]])
    truth = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    assert dice_loss(probs, truth).tolist() == pytest.approx([1.0 - (2 * 0.5 + 1) / (1.0 + 1.0 + 1), 0.0])


def test_focal_loss_by_hand() -> None:
    even = torch.zeros(1, 2)
    positive, negative = 0.25 * 0.25 * math.log(2.0), 0.75 * 0.25 * math.log(2.0)
    assert float(focal_class_loss(even, torch.tensor([0]), 1.0)) == pytest.approx(positive + negative)
    assert float(focal_class_loss(even, torch.tensor([-1]), 0.0)) == pytest.approx(2 * negative)
    assert float(focal_class_loss(torch.tensor([[30.0, -30.0]]), torch.tensor([0]), 1.0)) < 1e-6
