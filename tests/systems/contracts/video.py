"""What holds for every system that segments videos from given masks.

Covers: systems.base
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.systems.contracts.scenes import square_clip, square_clips
from tests.systems.contracts.system import SystemContract
from vossegcli.errors import InputError
from vossegcli.samples import ClipSamples


class VideoContract(SystemContract):
    task = "propagate"
    objective = "segmentation"

    def make_inputs(self) -> list[Tensor]:
        video, labels = square_clip(4, (48, 64), (1, 2))
        return [*video.unbind(), torch.where(labels[0] == 1, 1, 0), torch.where(labels[1] == 2, 2, 0)]

    def outcome(self, predictor: Any) -> list[Tensor]:
        *frames, first, later = self.inputs
        predictor.start(frames[0], first)
        found = [predictor.step(frames[1])]
        predictor.add_objects(frames[1], later)
        found += [predictor.step(frame) for frame in frames[2:]]
        return [part for segmentation in found for part in (*segmentation[:4], segmentation.probs)]

    def batch(self) -> ClipSamples:
        return square_clips()

    @pytest.mark.parametrize("size", [(48, 64), (37, 53), (16, 16), (50, 17)])
    def test_output_has_the_size_of_the_frame(self, size: tuple[int, int]) -> None:
        video, labels = square_clip(3, size, (1,))
        predictor = self.predictor()
        predictor.start(video[0], labels[0])
        result = predictor.step(video[1])
        assert result.label_map.shape == size
        assert result.probs.shape == (1, *size)
        assert result.uncertainty.shape == (1,)
        assert 0.0 <= float(result.probs.min()) <= float(result.probs.max()) <= 1.0

    def test_a_cleared_predictor_begins_anew(self) -> None:
        predictor = self.predictor()
        expected = self.outcome(predictor)
        predictor.clear()
        assert predictor.ids == ()
        with pytest.raises(RuntimeError, match="there is no video yet"):
            predictor.step(self.inputs[1])
        for found, wanted in zip(self.outcome(predictor), expected, strict=True):
            assert torch.equal(found, wanted)

    def test_ids_are_kept(self) -> None:
        video, labels = square_clip(2, (64, 64), (3, 7, 300))
        predictor = self.predictor()
        predictor.start(video[0], labels[0])
        assert predictor.ids == (3, 7, 300)
        assert set(predictor.step(video[1]).label_map.unique().tolist()) <= {0, 3, 7, 300}

    def test_many_objects(self) -> None:
        labels = torch.arange(1, 13).repeat_interleave(4).repeat_interleave(48).view(48, 48)
        predictor = self.predictor()
        video = torch.rand(2, 3, 48, 48)
        predictor.start(video[0], labels)
        assert predictor.step(video[1]).probs.shape == (12, 48, 48)

    def test_a_mask_without_object_or_of_another_size_is_refused(self) -> None:
        video, labels = square_clip(1, (32, 48), (1,))
        predictor = self.predictor()
        with pytest.raises(InputError, match="no object"):
            predictor.start(video[0], torch.zeros_like(labels[0]))
        with pytest.raises(InputError, match="mask is"):
            predictor.start(video[0], labels[0, :-1])

    def test_a_frame_of_another_size_is_refused(self) -> None:
        video, labels = square_clip(1, (32, 48), (1,))
        predictor = self.predictor()
        predictor.start(video[0], labels[0])
        with pytest.raises(InputError, match="unlike the frames before"):
            predictor.step(torch.rand(3, 64, 48))

    def test_frames_may_be_encoded_ahead(self) -> None:
        """Nothing changes, whether the frame before was known or not."""
        *frames, first, later = self.inputs
        expected = self.outcome(self.predictor())
        predictor = self.predictor()
        encoded = predictor.encode(frames[0])
        predictor.start(encoded, first)
        encoded, found = predictor.encode(frames[1], encoded), []
        for number, frame in enumerate([*frames[2:], None]):
            # The frame after it is encoded before this one is segmented.
            ahead = None if frame is None else predictor.encode(frame, encoded if number != 1 else None)
            found.append(predictor.step(encoded))
            if number == 0:
                predictor.add_objects(encoded, later)
            encoded = ahead
        parts = [part for segmentation in found for part in (*segmentation[:4], segmentation.probs)]
        assert all(torch.equal(a, b) for a, b in zip(expected, parts, strict=True))

    def test_start_forgets(self) -> None:
        predictor = self.predictor()
        first, again = self.outcome(predictor), self.outcome(predictor)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))

    def test_state_resumes_exactly(self) -> None:
        video, labels = square_clip(7, (48, 64), (1, 2))
        one, other = self.predictor(), self.predictor()
        one.start(video[0], labels[0])
        for frame in video[1:4]:
            one.step(frame)
        other.load_state({name: value.clone() for name, value in one.state().items()})
        for frame in video[4:]:
            a, b = one.step(frame), other.step(frame)
            assert torch.equal(a.probs, b.probs)
            assert torch.equal(a.label_map, b.label_map)

    def test_objects_can_be_added_later(self) -> None:
        video, labels = square_clip(4, (48, 64), (1, 5))
        predictor = self.predictor()
        predictor.start(video[0], torch.where(labels[0] == 1, 1, 0))
        predictor.step(video[1])
        predictor.add_objects(video[1], torch.where(labels[1] == 5, 5, 0))
        assert predictor.ids == (1, 5)
        assert predictor.step(video[2]).probs.shape == (2, 48, 64)
