"""What holds for every system that finds instances in images.

Covers: systems.base
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.systems.b2inst.test_predict import squares_and_bars
from tests.systems.contracts.system import SystemContract
from vossegcli.samples import InstanceSamples


class InstanceContract(SystemContract):
    task = "instance"
    objective = "instances"
    options = {"score_threshold": 0.0}  # noqa: RUF012 - of the class
    labels = ("square", "bar")

    def make_inputs(self) -> list[Tensor]:
        return [torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))]

    def outcome(self, predictor: Any) -> list[Tensor]:
        return [part for found in predictor.predict(self.inputs[0]) for part in found]

    def batch(self) -> InstanceSamples:
        return squares_and_bars()

    @pytest.mark.parametrize("size", [(64, 64), (50, 77), (130, 40), (8, 9)])
    def test_boxes_lie_in_the_image(self, size: tuple[int, int]) -> None:
        (found,) = self.predictor().predict(torch.rand(1, 3, *size))
        assert len(found.scores) == len(found.labels) == len(found.masks) == len(found.boxes)
        assert found.masks.ndim == 3
        assert bool((found.boxes >= 0.0).all())
        assert bool((found.boxes[:, [0, 2]] <= size[1] + 1e-3).all())
        assert bool((found.boxes[:, [1, 3]] <= size[0] + 1e-3).all())
        assert bool((found.boxes[:, 2:] >= found.boxes[:, :2]).all())
        assert bool(((found.masks >= 0.0) & (found.masks <= 1.0)).all())
        assert bool(((found.labels >= 0) & (found.labels < len(self.labels))).all())
        assert bool((found.scores.diff() <= 0).all()), "best first"

    def test_eight_bits_mean_what_floats_mean(self) -> None:
        pixels = (self.inputs[0] * 255.0).to(torch.uint8)
        predictor = self.predictor()
        for one, other in zip(predictor.predict(pixels), predictor.predict(pixels.float() / 255.0), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_nothing_is_found_above_every_score(self) -> None:
        (found,) = self.predictor(score_threshold=1.0).predict(torch.rand(1, 3, 64, 64))
        assert found.boxes.shape == (0, 4)
        assert not any(len(part) for part in found)

    def test_at_most_top_k_are_found(self) -> None:
        (many,) = self.predictor().predict(self.inputs[0][:1])
        (few,) = self.predictor(top_k=2).predict(self.inputs[0][:1])
        assert len(few.scores) <= 2 < len(many.scores)

    def test_a_batch_gives_what_its_images_give_alone(self) -> None:
        predictor = self.predictor()
        for together, image in zip(predictor.predict(self.inputs[0]), self.inputs[0], strict=True):
            (alone,) = predictor.predict(image.unsqueeze(0))
            assert torch.allclose(together.boxes, alone.boxes, atol=1e-3)
            assert torch.allclose(together.scores, alone.scores, atol=1e-5)

    def test_pictures_without_instances_train_too(self) -> None:
        batch = self.batch()
        nothing = torch.zeros(0, dtype=torch.int64)
        empty = InstanceSamples(
            batch.images, torch.zeros_like(batch.ids), (torch.zeros(0, 4),) * 2, (nothing, nothing),
            torch.zeros_like(batch.ids), torch.ones_like(batch.distance),
        )  # fmt: skip
        terms = self.system.objectives[self.objective](self.network().train(), empty)
        terms["loss"].backward()
        assert bool(torch.isfinite(terms["loss"]))
