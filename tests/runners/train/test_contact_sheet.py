"""The contact sheet shows samples of every kind with their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vossegcli.runners.train.contact_sheet import COLUMNS, GAP, SIDE, sample_pictures, write_contact_sheet
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
    pictures = list(sample_pictures(batch))
    assert len(pictures) == count
    for picture in pictures:
        assert picture.shape == (S, width, 3)
        assert (picture[0, 0] == picture[0, 0, 0]).all()  # grey outside
        assert picture[16, 16, 0] > picture[16, 16, 1]  # tinted in the colour of object 1 inside


def test_the_sheet_holds_24_samples(tmp_path: Path) -> None:
    batch, _, _ = SAMPLES["instances"]
    path = write_contact_sheet(tmp_path, iter([batch] * 40))
    sheet = np.asarray(Image.open(path))
    assert sheet.shape[:2] == (4 * (SIDE + GAP) + GAP, COLUMNS * (SIDE + GAP) + GAP)


def test_a_short_stream_gives_a_short_sheet(tmp_path: Path) -> None:
    batch, _, _ = SAMPLES["instances"]
    assert np.asarray(Image.open(write_contact_sheet(tmp_path, iter([batch])))).shape[0] == SIDE + 2 * GAP
