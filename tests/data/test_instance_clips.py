"""Clips with instances: identities stay with what is painted, and steps can be repeated."""

from pathlib import Path

import numpy as np
import torch

from vossegcli.data.instance_clips import InstanceClipStream
from vossegcli.data.instances import InstanceSpec
from vossegcli.io.datasets.annotations import read_coco_instances

SPEC = InstanceSpec(batch=3, size=66, short_side=64, turns=True)


def stream(discs: Path, seed: int = 0) -> InstanceClipStream:
    images = read_coco_instances(discs)
    numbers = {name: k for k, name in enumerate(dict.fromkeys(name for image in images for name in image.names))}
    return InstanceClipStream(images, numbers, seed, torch.device("cpu"))


def test_clips_have_instances_in_both_frames(discs: Path) -> None:
    clips = stream(discs).clips(0, SPEC)
    assert clips.frames.shape == (3, 2, 3, 66, 66)
    assert clips.ids.shape == (3, 2, 66, 66)
    assert float(clips.frames.min()) >= 0.0
    assert float(clips.frames.max()) <= 1.0
    for ids, labels in zip(clips.ids, clips.labels, strict=True):
        assert int(ids.max()) <= len(labels)
    shared = [set(ids[0].unique().tolist()) & set(ids[1].unique().tolist()) - {0} for ids in clips.ids]
    assert any(shared)


def test_an_identity_looks_the_same_in_both_frames(discs: Path) -> None:
    """Discs have one colour each; the background is noise around grey."""
    for step in range(4):
        clips = stream(discs).clips(step, SPEC)
        for frames, ids in zip(clips.frames, clips.ids, strict=True):
            for number in set(ids[0].unique().tolist()) & set(ids[1].unique().tolist()) - {0}:
                one, other = (frames[t, :, ids[t] == number].median(dim=1).values for t in range(2))
                assert float((one - other).abs().max()) < 0.3


def test_longer_clips_move_as_far_in_smaller_steps(discs: Path) -> None:
    long = stream(discs).clips(1, SPEC, frames=7)
    assert long.ids.shape[1] == 7
    changed = [float((long.ids[:, t] != long.ids[:, t + 1]).float().mean()) for t in range(6)]
    assert max(changed) < float((long.ids[:, 0] != long.ids[:, 6]).float().mean()) + 0.05


def test_a_step_always_draws_the_same(discs: Path) -> None:
    third = list(stream(discs, 3).stream_clips(1, 4, lambda _: SPEC))[1]
    again = stream(discs, 3).clips(2, SPEC)
    assert torch.equal(third.frames, again.frames)
    assert torch.equal(third.ids, again.ids)
    assert not np.array_equal(stream(discs, 4).clips(2, SPEC).ids, again.ids)
