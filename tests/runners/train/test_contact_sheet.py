"""The contact sheet shows samples of every kind with their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vossegcli.runners.train.contact_sheet import COLUMNS, GAP, SIDE, sample_tiles, write_contact_sheet
from vossegcli.samples import ClipSamples, Correspondences, EpisodeSamples, InstanceClipSamples, InstanceSamples

S = 32
NOWHERE = Correspondences(torch.zeros(0), torch.zeros(0))


def masks(*shape: int) -> torch.Tensor:
    ids = torch.zeros(*shape, S, S, dtype=torch.int64)
    ids[..., 8:24, 8:24] = 1
    return ids


def grey(*shape: int) -> torch.Tensor:
    return torch.full((*shape, 3, S, S), 0.5)


SAMPLES = {
    "clips": (ClipSamples(grey(2, 3), masks(2, 3), NOWHERE, NOWHERE, 2), 2, 2 * S),
    "episodes": (
        EpisodeSamples(grey(2, 3), masks(2, 3).float(), torch.zeros(2, 3, 3), masks(2, 3), torch.zeros(2)), 6, S,
    ),
    "instances": (InstanceSamples(grey(2), masks(2), (), (), masks(2), masks(2).float()), 2, S),
    "instance clips": (InstanceClipSamples(grey(2, 2), masks(2, 2), ()), 2, 2 * S),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_kind_of_sample_is_drawn_with_its_mask(kind: str) -> None:
    batch, count, width = SAMPLES[kind]
    pictures = [tile.picture for tile in sample_tiles(batch)]
    assert len(pictures) == count
    for picture in pictures:
        assert picture.shape == (S, width, 3)
        assert (picture[0, 0] == picture[0, 0, 0]).all()  # grey outside
        assert picture[16, 16, 0] > picture[16, 16, 1]  # tinted in the colour of object 1 inside


def test_classes_are_named_where_they_are() -> None:
    labels = (torch.tensor([1]), torch.tensor([0]))
    still = InstanceSamples(grey(2), masks(2), (), labels, masks(2), masks(2).float())
    clips = InstanceClipSamples(grey(2, 2), masks(2, 2), labels)
    episodes = EpisodeSamples(
        grey(2, 1), masks(2, 1).float(), torch.zeros(2, 1, 1), masks(2, 1), torch.tensor([1, 0])
    )  # fmt: skip
    for batch in (still, clips, episodes):
        marks = [tile.marks for tile in sample_tiles(batch, ("cat", "dog"))]
        assert [mark.name for (mark,) in marks] == ["dog", "cat"]
        assert all(8 <= mark.x < 24 and 8 <= mark.y < 24 for (mark,) in marks)


def test_names_are_written_on_the_sheet(tmp_path: Path) -> None:
    batch = InstanceSamples(grey(1), masks(1), (), (torch.tensor([0]),), masks(1), masks(1).float())
    plain, named = (np.asarray(Image.open(write_contact_sheet(tmp_path, [batch], names))) for names in ((), ("cat",)))
    tile = np.s_[GAP : GAP + SIDE, GAP : GAP + SIDE]
    assert named[tile].max() > 240 > plain.max()
    assert (plain[tile].max(axis=2) > 60).all()  # small samples are enlarged


def test_the_sheet_holds_24_samples(tmp_path: Path) -> None:
    batch, _, _ = SAMPLES["instances"]
    path = write_contact_sheet(tmp_path, iter([batch] * 40))
    sheet = np.asarray(Image.open(path))
    assert sheet.shape[:2] == (4 * (SIDE + GAP) + GAP, COLUMNS * (SIDE + GAP) + GAP)


def test_a_short_stream_gives_a_short_sheet(tmp_path: Path) -> None:
    batch, _, _ = SAMPLES["instances"]
    assert np.asarray(Image.open(write_contact_sheet(tmp_path, iter([batch])))).shape[0] == SIDE + 2 * GAP


def test_pairs_of_frames_are_as_large_as_single_ones(tmp_path: Path) -> None:
    large = torch.nn.functional.interpolate(grey(2, 3).flatten(0, 1), size=(SIDE, SIDE)).reshape(2, 3, 3, SIDE, SIDE)
    ids = torch.ones(2, 3, SIDE, SIDE, dtype=torch.int64)
    sheet = np.asarray(Image.open(write_contact_sheet(tmp_path, [ClipSamples(large, ids, NOWHERE, NOWHERE, 2)] * 12)))
    assert sheet.shape[:2] == (8 * (SIDE + GAP) + GAP, 3 * (2 * SIDE + GAP) + GAP)
    assert sheet[: SIDE // 2 + GAP, SIDE + GAP].max() > 100
