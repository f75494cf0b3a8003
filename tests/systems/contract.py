"""The contract that every system's tests subclass: shapes, odd sizes, object counts, determinism, training, state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vossegcli.errors import InputError
from vossegcli.samples import ClipSamples, Correspondences
from vossegcli.systems.base import System, VideoPredictor
from vossegcli.training.loop import set_training_mode


def square_clip(frames: int, size: tuple[int, int], ids: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A textured background with one bright square an object that moves right: (T,3,H,W) and (T,H,W)."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    background = 0.3 * torch.rand(3, height, width, generator=generator)
    video = background.repeat(frames, 1, 1, 1)
    labels = torch.zeros(frames, height, width, dtype=torch.int64)
    side = max(4, min(height, width) // (len(ids) + 2))
    for k, object_id in enumerate(ids):
        colour = torch.tensor([1.0 - k / 8, 0.2 + k / 8, 0.5]).view(3, 1, 1)
        for t in range(frames):
            top, left = 2 + k * side, 2 + 2 * t + 3 * k
            video[t, :, top : top + side - 1, left : left + side] = colour
            labels[t, top : top + side - 1, left : left + side] = object_id
    return video, labels


def still_places(cells: int) -> Correspondences:
    """Two clips of three frames in which nothing moves."""
    axis = torch.arange(float(cells))
    coordinates = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).expand(2, 3, cells, cells, 2)
    return Correspondences(coordinates.contiguous(), torch.zeros(2, 3, cells, cells, dtype=torch.int64))


class VideoSystemContract:
    """Subclass with `system` and a small `config`; every test here then holds for the system."""

    system: System
    config: Any

    def network(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return self.system.build(self.config).eval()

    def predictor(self, **options: Any) -> VideoPredictor:
        return self.system.predictors["propagate"](self.network(), **options)

    @pytest.mark.parametrize("size", [(48, 64), (37, 53), (16, 16), (50, 17)])
    def test_output_has_the_size_of_the_frame(self, size: tuple[int, int]) -> None:
        video, labels = square_clip(3, size, (1,))
        predictor = self.predictor()
        predictor.start(video[0], labels[0])
        result = predictor.step(video[1])
        assert result.label_map.shape == size
        assert result.probs.shape == (1, *size)
        assert result.uncertainty.shape == (1,)
        assert bool(torch.isfinite(result.probs).all())

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

    def test_same_input_same_result(self) -> None:
        video, labels = square_clip(3, (48, 64), (1, 2))
        results = []
        for _ in range(2):
            predictor = self.predictor()
            predictor.start(video[0], labels[0])
            results.append([predictor.step(frame).probs for frame in video[1:]])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

    def test_nothing_given_is_changed(self) -> None:
        video, labels = square_clip(3, (48, 64), (1,))
        before = video.clone(), labels.clone()
        network = self.network()
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        predictor = self.system.predictors["propagate"](network)
        predictor.start(video[0], labels[0])
        predictor.step(video[1])
        predictor.add_objects(video[1], labels[1])
        predictor.step(video[2])
        assert torch.equal(video, before[0])
        assert torch.equal(labels, before[1])
        assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())

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

    def test_gradients_reach_every_weight(self) -> None:
        network = self.network()
        set_training_mode(network, freeze_norm=True)
        terms = self.system.objectives["segmentation"](network, self.clips())
        terms["loss"].backward()
        assert not [name for name, p in network.named_parameters() if p.grad is None]
        assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)

    def test_overfits_one_tiny_batch(self) -> None:
        network = self.network()
        set_training_mode(network, freeze_norm=False)
        clips = self.clips()
        optimiser = torch.optim.Adam(network.parameters(), 3e-3)
        ious = []
        for _ in range(60):
            terms = self.system.objectives["segmentation"](network, clips)
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            ious.append(float(terms["j"]))
        assert max(ious[-10:]) > 0.6 > ious[0]

    def clips(self) -> ClipSamples:
        pairs = [square_clip(3, (48, 48), (1,)), square_clip(3, (48, 48), (1, 2))]
        frames, labels = torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
        return ClipSamples(frames, labels, still_places(3), still_places(6), 3)
