"""Refinement at stride 4: its formulas by hand, and that it starts by changing nothing."""

import pytest
import torch

from vossegcli.systems.fwb.refinement import Refinement, local_differences, uncertainty


def test_uncertainty_by_hand() -> None:
    found = uncertainty(torch.tensor([0.5, 0.8, 0.2, 1.0])).tolist()
    assert found[:3] == pytest.approx([1.0, 2.718281828**-1, 2.718281828**-1], abs=1e-4)
    assert found[3] < 1e-6


def test_local_differences_by_hand() -> None:
    """One row of two materials: a pixel is like the one that it belongs to."""
    features = torch.tensor([1.0, 1.0, 1.0, 5.0, 5.0, 5.0]).view(1, 1, 1, 6)
    probs = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 6)
    to_class, to_others = local_differences(features, probs)[0, :, 0]
    assert to_class.tolist() == pytest.approx([0.0, 0.0, 0.0, 4.0, 4.0, 4.0], abs=0.1)
    assert to_others[2:].tolist() == pytest.approx([4.0, 0.0, 0.0, 0.0], abs=0.1)
    fades = torch.tensor([0.9, 0.9, 0.9, 0.1, 0.1, 0.1]).view(1, 1, 1, 6)
    soft = local_differences(features, fades)[0, :, 0]
    assert (soft[0, :3] < soft[1, :3]).all()
    assert (soft[0, 3:] > soft[1, 3:]).all()


def test_it_starts_by_leaving_the_mask_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    refinement = Refinement(context=4, maps=2, fine=3, channels=4)
    odds = torch.randn(2, 5, 6, generator=generator)
    parts = [torch.randn(2, *shape, generator=generator) for shape in ((2, 5, 6), (4, 5, 6), (3, 10, 12))]
    refined = refinement(odds, *parts)
    up = torch.nn.functional.interpolate(odds[:, None], scale_factor=2, mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(refined, up, atol=1e-6)
