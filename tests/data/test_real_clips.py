"""Training clips of annotated videos: the same objects in every frame, and batches that mix them with synthetic ones.

Covers: data.clips
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vossegcli.data.clips import ClipSpec, ClipStream
from vossegcli.data.real_clips import can_be_followed, draw_real_clip, videos_of
from vossegcli.io.datasets.video_folders import find_videos, read_videos
from vossegcli.samples import ClipSamples
from vossegcli.systems.afb_urr.losses import correspondence_targets
from vossegcli.types import AnnotatedImage

SIZE = 32
COLOURS = {4: (220, 20, 20), 9: (20, 20, 220)}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[AnnotatedImage]:
    """Ten frames, in which a red and a blue disc (ids 4 and 9) move apart on grey."""
    root = tmp_path_factory.mktemp("set")
    for folder in ("clip/frames", "clip/masks"):
        (root / folder).mkdir(parents=True)
    y, x = np.mgrid[:96, :128]
    for index in range(10):
        picture, ids = np.full((96, 128, 3), 128, np.uint8), np.zeros((96, 128), np.uint8)
        for number, place in ((4, 50 - 3 * index), (9, 80 + 3 * index)):
            disc = np.hypot(x - place, y - 48) < 12
            picture[disc], ids[disc] = COLOURS[number], number
        Image.fromarray(picture).save(root / f"clip/frames/{index}.png")
        Image.fromarray(ids).save(root / f"clip/masks/{index}.png")
    return list(read_videos(find_videos(root)).images)


def test_an_id_is_the_same_object_in_all_frames_of_a_clip(frames: list[AnnotatedImage]) -> None:
    seen = set()
    for seed in range(30):
        pictures, labels = draw_real_clip(frames, 4, SIZE, 1, np.random.default_rng(seed))
        assert pictures.shape == (4, 3, SIZE, SIZE)
        assert labels.shape == (4, SIZE, SIZE)
        assert (labels[0] == 1).any()  # the window of the first frame holds the object
        inside = pictures.transpose(0, 2, 3, 1)[labels == 1].astype(int)
        red = inside[:, 0] - inside[:, 2]
        assert (red > 0).mean() in (0.0, 1.0)
        seen.add(bool(red[0] > 0))
    assert seen == {True, False}


def test_a_video_of_two_frames_gives_clips_of_any_length(frames: list[AnnotatedImage]) -> None:
    pictures, _ = draw_real_clip(frames[:2], 7, SIZE, 2, np.random.default_rng(0))
    assert len(pictures) == 7
    assert len({picture.tobytes() for picture in pictures}) > 1


def test_single_frames_are_no_video(frames: list[AnnotatedImage]) -> None:
    assert videos_of(frames) == [frames]
    assert can_be_followed(frames)
    assert not can_be_followed(frames[:1])
    assert not ClipStream(frames[:1], 0.45, 0, torch.device("cpu"), real_clips=0.5).videos


def test_two_data_sets_may_share_names_of_folders_and_videos(frames: list[AnnotatedImage]) -> None:
    others = [replace(frame, path=Path("elsewhere") / frame.path.name) for frame in frames]
    assert videos_of([*frames, *others]) == [frames, others]


def batch_of(frames: list[AnnotatedImage], share: float) -> ClipSamples:
    stream = ClipStream(frames, 0.45, 0, torch.device("cpu"), real_clips=share)
    return stream.batch(1, ClipSpec(6, SIZE, 3, 2))


def test_batches_mix_synthetic_clips_with_those_of_videos(frames: list[AnnotatedImage]) -> None:
    for share, expected in ((0.0, {False}), (0.5, {True, False}), (1.0, {True})):
        clips = batch_of(frames, share)
        assert clips.frames.shape == (6, 3, 3, SIZE, SIZE)
        assert clips.labels.shape == (6, 3, SIZE, SIZE)
        real = (clips.coarse.textures < 0).flatten(1).all(dim=1)
        assert set(real.tolist()) == expected
        again = batch_of(frames, share)
        assert torch.equal(again.frames, clips.frames)
        assert torch.equal(again.labels, clips.labels)


def test_no_cell_of_a_video_has_a_known_partner(frames: list[AnnotatedImage]) -> None:
    clips = batch_of(frames, 1.0)
    places, textures = clips.fine.coordinates.flatten(2, 3), clips.fine.textures.flatten(2, 3)
    _, visible = correspondence_targets(places[:, 0], textures[:, 0], places[:, 1], textures[:, 1])
    assert not visible.any()
