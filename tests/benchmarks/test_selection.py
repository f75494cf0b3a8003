"""The table of real videos: what counts, and the training-free baseline."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def selection(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("selection")


@pytest.fixture
def folder(tmp_path):
    """Three frames; object 1 is marked on the first, object 5 turns up on the second."""
    maps = [np.zeros((8, 8), np.uint8) for _ in range(3)]
    maps[0][:4] = maps[1][:4] = 1
    maps[2][:2] = 1
    maps[1][6:] = maps[2][6:] = 5
    for index, label_map in enumerate(maps):
        for kind, picture in (("frames", np.full((8, 8, 3), 90, np.uint8)), ("masks", label_map)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / kind / f"{index}.png")
    return tmp_path


def test_an_object_counts_from_the_frame_after_its_first_mask(selection, folder):
    video = selection.read_video("a", folder, None)
    followed = selection.follow(video, selection.CopiedMasks())
    assert followed.scores == [(1, 1, 1.0), (2, 1, 0.5), (2, 5, 1.0)]
    assert followed.mean == pytest.approx(2.5 / 3)
    assert selection.follow(selection.read_video("a", folder, 2), selection.CopiedMasks()).scores == [(1, 1, 1.0)]


def test_area_under_roc_is_the_share_of_pairs_in_the_right_order(selection):
    rated = [(0.9, 0.8), (0.7, 0.9), (0.8, 0.2), (0.1, 0.4)]  # 3 of the 4 pairs of a good and a bad mask
    assert selection.area_under_roc(rated) == pytest.approx(0.75)
    assert np.isnan(selection.area_under_roc(rated[:2]))


def test_labels_are_copied_from_the_nearest_features_of_the_window(selection):  # noqa: ARG001 - puts it on the path
    nearest = importlib.import_module("nearest_features")
    torch.manual_seed(0)
    height, width = 6, 3 * nearest.RADIUS
    features = torch.nn.functional.normalize(torch.randn(64, height, width), dim=0)
    labels = torch.rand(1, 2, height, width)
    still = nearest.copy_labels(features, [features], labels)
    assert torch.allclose(still, labels[0], atol=0.05), "a cell is its own nearest neighbour"
    far = features.roll(2 * nearest.RADIUS, dims=2)
    copied, moved = (x[:, :, : nearest.RADIUS] for x in (
        nearest.copy_labels(features, [far], labels), labels[0].roll(-2 * nearest.RADIUS, dims=2)
    ))  # fmt: skip
    assert not torch.allclose(copied, moved, atol=0.05), "what lies beyond the window is not found"


def test_windows_widen_from_an_object_or_close_in_on_it(selection):
    hard = importlib.import_module("hard_videos")
    label_map = np.zeros((40, 60), np.uint8)
    label_map[4:12, 44:52] = 3
    stems = [f"{index:02d}" for index in range(hard.FRAMES_OF_ZOOM)]
    picture = np.repeat(label_map[..., np.newaxis], 3, axis=2)
    video = hard.Video("a", dict.fromkeys(stems, lambda: picture), dict.fromkeys(stems, label_map))
    growing, shrinking = hard.growing(video), hard.shrinking(video)
    shares = [[float((one.masks[stem] == 1).mean()) for stem in stems] for one in (growing, shrinking)]
    assert shares[0] == sorted(shares[0])
    assert shares[1] == sorted(shares[1], reverse=True)
    assert min(shares[0]) == min(shares[1]) == 64 / 2400
    assert max(shares[0]) > 0.4
    assert np.array_equal(growing.frames[stems[0]](), picture)
    assert ((growing.frames[stems[-1]]()[..., 0] > 1) == growing.masks[stems[-1]]).mean() > 0.98
    assert hard.growing(hard.Video("b", dict.fromkeys(stems[:5]), dict.fromkeys(stems[:5], label_map))) is None
