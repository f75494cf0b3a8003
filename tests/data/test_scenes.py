from __future__ import annotations

import numpy as np
import pytest
import torch

from vossegcli.data.clips import ClipSpec
from vossegcli.data.scenes import Scene, SceneStream

CPU = torch.device("cpu")
GREEN, RED, BLUE = (50, 200, 50), (200, 50, 50), (50, 50, 200)


def scene(height: int = 120, width: int = 160, *boxes: tuple[int, int, int, int]) -> Scene:
    """A green picture with boxes (top, left, bottom, right), the first red with id 3, the second blue with id 7."""
    image = np.full((height, width, 3), GREEN, np.uint8)
    ids_map = np.zeros((height, width), np.int32)
    for object_id, colour, (top, left, bottom, right) in zip((3, 7), (RED, BLUE), boxes, strict=False):
        image[top:bottom, left:right] = colour
        ids_map[top:bottom, left:right] = object_id
    return Scene(image, ids_map)


def test_objects_move_in_front_of_their_filled_background() -> None:
    stream = SceneStream([scene(120, 160, (40, 60, 80, 100))], 0, CPU)
    assert stream.objects == 1
    first, last = [], []
    for step in range(12):
        clips = stream.batch(step, ClipSpec(1, 96, 3, 1))
        assert clips.frames.shape == (1, 3, 3, 96, 96)
        assert clips.classes == 2
        is_red = clips.frames[:, :, 0] - clips.frames[:, :, 1] > 0.0  # (B,T,H,W)
        inside = clips.labels == 1
        agreement = float((is_red & inside).sum() / (is_red | inside).sum())
        assert agreement > 0.85, step  # nothing red is left behind, nothing of the object is unlabelled
        first.append(float(inside[:, 0].float().mean()))
        last.append(torch.nonzero(inside[0, 2]).float().mean(dim=0) - torch.nonzero(inside[0, 0]).float().mean(dim=0))
    assert min(first) > 0.02
    assert float(torch.stack(last).norm(dim=1).nan_to_num(99).mean()) > 3.0  # pixels


def test_each_clip_labels_so_many_objects_and_leaves_the_others_in_place() -> None:
    stream = SceneStream([scene(120, 160, (20, 20, 60, 60), (50, 90, 100, 140))], 1, CPU)
    assert stream.objects == 2
    colours = set()
    for step in range(12):
        clips = stream.batch(step, ClipSpec(1, 128, 2, 1))
        assert clips.labels.unique().tolist() == [0, 1]
        pixels = clips.frames[0, 0][:, clips.labels[0, 0] == 1].mean(dim=1)
        colours.add("red" if pixels[0] > pixels[2] else "blue")
    assert colours == {"red", "blue"}
    assert stream.batch(0, ClipSpec(2, 128, 2, 2)).classes == 3


@pytest.mark.parametrize("box", [(0, 0, 120, 160), (10, 10, 13, 13), (0, 0, 120, 80), (119, 159, 120, 160)])
def test_objects_of_any_size(box: tuple[int, int, int, int]) -> None:
    stream = SceneStream([scene(120, 160, box)], 2, CPU)
    for step in range(4):
        clips = stream.batch(step, ClipSpec(1, 64, 3, 1))
        assert bool(torch.isfinite(clips.frames).all())
        assert set(clips.labels.unique().tolist()) <= {0, 1}


def test_a_picture_smaller_than_the_window() -> None:
    clips = SceneStream([scene(30, 20, (5, 5, 25, 15))], 3, CPU).batch(0, ClipSpec(1, 96, 2, 1))
    assert int((clips.labels == 1).sum()) > 0


def test_a_step_is_a_function_of_seed_and_step() -> None:
    spec = ClipSpec(1, 64, 2, 1)
    scenes = [scene(80, 80, (20, 20, 60, 60)), scene(80, 90, (10, 30, 30, 60))]
    streamed = list(SceneStream(scenes, 5, CPU).stream(4, spec))
    assert torch.equal(streamed[3].frames, SceneStream(scenes, 5, CPU).batch(3, spec).frames)
    assert not torch.equal(streamed[3].frames, SceneStream(scenes, 6, CPU).batch(3, spec).frames)
