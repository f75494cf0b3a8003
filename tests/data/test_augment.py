"""Colours change, outlines stay."""

import torch

from vossegcli.data.augment import recolour_some


def clips() -> torch.Tensor:
    """Six clips of two frames: a bright square on dark."""
    picture = torch.full((6, 2, 3, 32, 32), 0.05)
    picture[..., 8:24, 8:24] = 0.2
    return picture


def test_recolouring_keeps_what_is_one_colour_one_colour() -> None:
    found = recolour_some(clips(), 1.0, torch.Generator().manual_seed(0))
    assert found.shape == clips().shape
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    inside, outside = found[..., 12:20, 12:20], found[..., :6, :]
    assert float(inside.flatten(3).std(dim=3).max()) < 1e-5
    assert float(outside.flatten(3).std(dim=3).max()) < 1e-5
    contrast = (inside.mean(dim=(3, 4)) - outside.mean(dim=(3, 4)))[:, 0].mean(dim=1)
    assert (contrast > 0).any()
    assert (contrast < 0).any(), "some are turned round"
    assert torch.equal(found[:, 0], found[:, 1]), "a clip keeps its colours"


def test_only_a_share_is_recoloured() -> None:
    assert torch.equal(recolour_some(clips(), 0.0, torch.Generator().manual_seed(0)), clips())
