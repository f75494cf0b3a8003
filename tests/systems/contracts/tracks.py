"""What holds for every system that follows instances through videos.

Covers: systems.base
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.systems.contracts.scenes import square_clip, square_instance_clips
from tests.systems.contracts.system import SystemContract
from vossegcli.samples import InstanceClipSamples


class TrackContract(SystemContract):
    task = "track"
    objective = "clips"
    options = {"score_threshold": 0.0}  # noqa: RUF012 - of the class
    labels = ("square", "bar")

    def make_inputs(self) -> list[Tensor]:
        return list(square_clip(5, (48, 64), (1, 2))[0].unbind())

    def outcome(self, predictor: Any) -> list[Tensor]:
        predictor.start()
        return [part for frame in self.inputs for part in predictor.step(frame)]

    def batch(self) -> InstanceClipSamples:
        return square_instance_clips()

    @pytest.mark.parametrize("size", [(64, 64), (50, 77), (130, 40), (8, 9)])
    def test_boxes_lie_in_the_frame_and_identities_are_distinct(self, size: tuple[int, int]) -> None:
        predictor = self.predictor()
        for frame in torch.rand(3, 3, *size):
            found = predictor.step(frame)
            assert len({len(part) for part in found}) == 1
            assert bool((found.boxes >= 0.0).all())
            assert bool((found.boxes[:, [0, 2]] <= size[1] + 1e-3).all())
            assert bool((found.boxes[:, [1, 3]] <= size[0] + 1e-3).all())
            assert bool(((found.labels >= 0) & (found.labels < len(self.labels))).all())
            assert bool((found.ids >= 1).all())
            assert len(found.ids.unique()) == len(found.ids)

    def test_nothing_is_found_above_every_score(self) -> None:
        predictor = self.predictor(score_threshold=1.0)
        for frame in self.inputs[:2]:
            assert [len(part) for part in predictor.step(frame)] == [0] * 5

    def test_eight_bits_mean_what_floats_mean(self) -> None:
        pixels = (self.inputs[0] * 255.0).to(torch.uint8)
        one, other = self.predictor().step(pixels), self.predictor().step(pixels.float() / 255.0)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_start_forgets(self) -> None:
        predictor = self.predictor()
        first, again = self.outcome(predictor), self.outcome(predictor)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))

    def test_state_resumes_exactly(self) -> None:
        one, other = self.predictor(), self.predictor()
        for frame in self.inputs[:3]:
            one.step(frame)
        other.load_state({name: value.clone() for name, value in one.state().items()})
        for frame in self.inputs[3:]:
            assert all(torch.equal(a, b) for a, b in zip(one.step(frame), other.step(frame), strict=True))
