"""Synthetic.

Covers: data.clips, data.motion, data.textures
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vossegcli.data.augment import add_noise, blur_some, jitter_colour
from vossegcli.data.clips import ClipSpec, ClipStream, split_by_source
from vossegcli.data.motion import CAMERA, Motion, sampling_grids
from vossegcli.data.synthetic import COARSE, FINE, Layers, Look, render_clips
from vossegcli.data.textures import TextureSource
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.types import AnnotatedImage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(discs: Path) -> list[AnnotatedImage]:
    return read_coco_instances(discs)


def test_still_texture_gives_places_that_do_not_move() -> None:
    generator = torch.Generator().manual_seed(0)
    still = Motion(0.0, 0.0, 0.0, 0.0, 0.0)
    grid = sampling_grids(torch.zeros(1, 3, 2), torch.zeros(1, 3), 32, still, generator)
    assert torch.allclose(grid[:, 0], grid[:, 2])
    assert grid[0, 0, 0, 0].tolist() == pytest.approx([-31 / 32, -31 / 32], abs=1e-6)


def test_places_tell_where_a_cell_lies_in_the_other_frame() -> None:
    """Sampling the texture at a cell's place must give the colour that the frame shows there."""
    size = 64
    generator = torch.Generator().manual_seed(3)
    ramp = torch.linspace(0, 255, size).expand(size, size)
    texture = torch.stack([ramp, ramp.T, torch.zeros(size, size)]).to(torch.uint8)[None]
    grid = sampling_grids(torch.zeros(1, 2, 2), torch.full((1, 2), 0.3), size, CAMERA, generator)
    sampled = torch.nn.functional.grid_sample(
        texture.float() / 255, grid[:, 1], padding_mode="reflection", align_corners=False
    )
    centre = grid[0, 1, COARSE // 2, COARSE // 2]
    expected = (centre * 32 + 31.5) / 63
    assert sampled[0, :2, COARSE // 2, COARSE // 2].tolist() == pytest.approx(expected.clamp(0, 1).tolist(), abs=0.02)


def test_a_cutout_hides_the_background_and_carries_its_label() -> None:
    size = 64
    layers = Layers(
        torch.zeros(1, 3, size, size, dtype=torch.uint8),
        torch.ones(1, 1, size, size, dtype=torch.uint8),
        torch.tensor([[1]]),
        *[torch.full((1, 3, 4, size, size), 255, dtype=torch.uint8)] * 2,
        torch.tensor([[2, -1, -1]]),
        torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.3, -0.2, -1.0, 1.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])[None],
        torch.zeros(1, 4, 3),
    )
    clips = render_clips(layers, 3, torch.Generator().manual_seed(1), 3, Look())
    assert set(clips.labels.unique().tolist()) <= {0, 1, 2}
    white = clips.frames[0, 0].mean(dim=0) > 0.4
    assert bool(white.any())
    assert float((white == (clips.labels[0, 0] == 2)).float().mean()) > 0.95
    for stride, places in ((COARSE, clips.coarse), (FINE, clips.fine)):
        cells = clips.labels[:, :, stride // 2 :: stride, stride // 2 :: stride]
        assert torch.equal(places.textures == 1, cells == 2)


def test_an_open_shutter_blurs_what_moves() -> None:
    """Along the motion the edge of a white cut-out on black becomes a ramp; the label's edge lies in its middle."""
    size = 64
    none = torch.zeros(1, 1, size, size, dtype=torch.uint8)
    layers = Layers(
        torch.zeros(1, 3, size, size, dtype=torch.uint8), none, torch.zeros(1, 1, dtype=torch.int64),
        *[torch.full((1, 1, 4, size, size), 255, dtype=torch.uint8)] * 2, torch.ones(1, 1, dtype=torch.int64),
        torch.tensor([[[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, -1.0, 1.0]]]), torch.zeros(1, 2, 3),
    )  # fmt: skip
    still = Motion(0.0, 0.0, 0.0, 0.0, 0.0)
    grey = {}
    for shutter in (0.0, 2.0):
        look = Look(still, replace(still, translate=0.6), shutter, cutout_colour=0.0, colour=0.0, noise=0.0)
        shown = []
        for seed in range(12):
            clips = render_clips(layers, 3, torch.Generator().manual_seed(seed), 2, look)
            luma = clips.frames[:, :, 0]
            shown.append(((luma > 0.1) & (luma < 0.9)).float().mean())
            sharp = (luma < 0.1) | (luma > 0.9)
            assert torch.equal((luma > 0.5)[sharp], (clips.labels == 1)[sharp])
        grey[shutter] = float(torch.stack(shown).mean())
    assert grey[2.0] > 1.5 * grey[0.0]


def test_reach_is_a_factor_of_the_shift() -> None:
    shift = Motion(0.5, 0.0, 0.0, 0.0, 0.0)
    near, far = (
        sampling_grids(
            torch.zeros(1, 3, 2), torch.zeros(1, 3), 32, shift, torch.Generator().manual_seed(0), torch.tensor([reach])
        )
        for reach in (1.0, 0.25)
    )
    moved = near[:, 2] - near[:, 0]
    assert float(moved.abs().max()) > 0.01
    assert torch.allclose(far[:, 2] - far[:, 0], 0.25 * moved, atol=1e-6)


def test_objects_unseen_at_first_are_background(images: list[AnnotatedImage]) -> None:
    stream = ClipStream(images, 0.5, 0, CPU)
    for step in range(8):
        clips = stream.batch(step, ClipSpec(2, 64, 3, 3))
        for clip in range(2):
            later = set(clips.labels[clip].unique().tolist()) - {0}
            assert later <= set(clips.labels[clip, 0].unique().tolist())
        assert int(clips.labels.max()) < clips.classes
        assert float(clips.frames.min()) >= 0.0 and float(clips.frames.max()) <= 1.0


def test_a_step_is_a_function_of_seed_and_step(images: list[AnnotatedImage]) -> None:
    spec = ClipSpec(2, 48, 2, 2)
    streamed = list(ClipStream(images, 0.5, 7, CPU).stream(3, 6, lambda step: spec))
    alone = ClipStream(images, 0.5, 7, CPU).batch(5, spec)
    assert torch.equal(streamed[2].frames, alone.frames)
    assert torch.equal(streamed[2].labels, alone.labels)
    assert not torch.equal(ClipStream(images, 0.5, 8, CPU).batch(5, spec).frames, alone.frames)


def test_an_error_while_drawing_reaches_the_trainer(images: list[AnnotatedImage], tmp_path: Path) -> None:
    gone = [AnnotatedImage(tmp_path / "gone.png", 9, 9, images[0].segmentations, (1, 1), ("a", "a"), "s", "d")]
    with pytest.raises(InputError, match=r"gone\.png"):
        list(ClipStream(gone, 0.0, 0, CPU).stream(0, 2, lambda step: ClipSpec(1, 32, 2, 1)))


def test_no_images_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no training images"):
        TextureSource([], 32, 0.0)


def test_split_keeps_sources_together(images: list[AnnotatedImage]) -> None:
    for holdout in (0.0, 0.3, 0.6, 1.0):
        training, validation = split_by_source(images, holdout)
        assert len(training) + len(validation) == len(images)
        assert not {i.source for i in training} & {i.source for i in validation}
    assert split_by_source(images, 0.0)[1] == []


def test_photometric_changes_keep_shape_and_range() -> None:
    clips = torch.rand(2, 3, 3, 16, 20)
    for change in (
        lambda g: jitter_colour(clips, 0.3, g), lambda g: blur_some(clips, 1.0, g), lambda g: add_noise(clips, 0.1, g)
    ):  # fmt: skip
        changed = change(torch.Generator().manual_seed(0))
        assert changed.shape == clips.shape
        assert float(changed.min()) >= 0.0 and float(changed.max()) <= 1.0 + 1e-6
        assert not torch.equal(changed, clips)
