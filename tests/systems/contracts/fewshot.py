"""What holds for every system that segments classes from a few annotated images.

Covers: systems.base
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.systems.contracts.scenes import red_square, square_episodes
from tests.systems.contracts.system import SystemContract
from vossegcli.errors import InputError
from vossegcli.samples import EpisodeSamples


class FewshotContract(SystemContract):
    task = "fewshot"
    objective = "episodes"

    def make_inputs(self) -> list[Tensor]:
        image, mask = red_square(48, 64)
        return [image, mask, torch.stack([red_square(50, 71, seed)[0] for seed in (1, 2, 3)])]

    def outcome(self, predictor: Any) -> list[Tensor]:
        image, mask, queries = self.inputs
        predictor.clear()
        for first, second in ((0, 1), (1, 0)):
            predictor.fit([image, image.flip(first)], [mask, mask.flip(second).flip(0)])
        return [part for found in predictor.predict(queries) for part in found]

    def batch(self) -> EpisodeSamples:
        return square_episodes()

    @pytest.mark.parametrize("size", [(40, 56), (33, 71), (130, 90), (8, 9)])
    @pytest.mark.parametrize("classes", [1, 2, 5])
    def test_results_have_the_size_of_the_query(self, size: tuple[int, int], classes: int) -> None:
        predictor = self.predictor()
        for seed in range(classes):
            image, mask = red_square(48, 64, seed)
            assert 0.0 <= predictor.fit([image], [mask]) <= 1.0
        (found,) = predictor.predict(torch.rand(1, 3, *size))
        assert found.label_map.shape == size
        assert set(found.label_map.unique().tolist()) <= set(range(classes + 1))
        assert found.probs.shape == (classes, *size)
        assert found.confidence.shape == (classes,)
        assert 0.0 <= float(found.probs.min()) <= float(found.probs.max()) <= 1.0

    def test_eight_bits_mean_what_floats_mean(self) -> None:
        image, mask, queries = self.inputs
        pixels, asked = (image * 255.0).to(torch.uint8), (queries * 255.0).to(torch.uint8)
        one, other = self.predictor(), self.predictor()
        assert one.fit([pixels], [mask]) == other.fit([pixels.float() / 255.0], [mask])
        for found, same in zip(one.predict(asked), other.predict(asked.float() / 255.0), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(found, same, strict=True))

    def test_supports_may_differ_in_size(self) -> None:
        images, masks = zip(red_square(48, 64), red_square(80, 30), strict=True)
        predictor = self.predictor()
        predictor.fit(images, masks)
        assert predictor.predict(images[0].unsqueeze(0))[0].label_map.shape == (48, 64)

    @pytest.mark.parametrize(
        ("images", "masks", "message"),
        [
            ([], [], "0 support images"),
            ([torch.rand(3, 8, 8)], [], "1 support images and 0 masks"),
            ([torch.rand(3, 8, 8)], [torch.zeros(8, 8)], "support 1 is empty"),
            ([torch.rand(3, 8, 8)], [torch.ones(8, 8)], "support 1 is full"),
            ([torch.rand(3, 8, 8)], [torch.ones(4, 8)], r"support 1 is \(4, 8\)"),
        ],
    )
    def test_bad_supports_are_named(self, images: list[Tensor], masks: list[Tensor], message: str) -> None:
        with pytest.raises(InputError, match=message):
            self.predictor().fit(images, masks)

    def test_without_a_class_nothing_can_be_predicted(self) -> None:
        predictor = self.predictor()
        self.outcome(predictor)
        predictor.clear()
        with pytest.raises(RuntimeError, match="fit"):
            predictor.predict(torch.rand(1, 3, 16, 16))

    def test_a_batch_gives_what_its_images_give_alone(self) -> None:
        predictor = self.predictor()
        self.outcome(predictor)
        queries = self.inputs[2]
        for together, image in zip(predictor.predict(queries), queries, strict=True):
            (alone,) = predictor.predict(image.unsqueeze(0))
            assert torch.allclose(together.probs, alone.probs, atol=1e-5)
            assert torch.allclose(together.confidence, alone.confidence, atol=1e-4)
