"""Turning cut-outs."""

from __future__ import annotations

import numpy as np
import torch

from vossegcli.data import turning
from vossegcli.data.motion import Motion
from vossegcli.data.synthetic import CUTOUTS, Layers, Look, render_clips
from vossegcli.data.textures import Cutout

SIZE = 32
STILL = Motion(0.0, 0.0, 0.0, 0.0, 0.0)


class Source:
    """Has one other object of every class."""

    other = Cutout(np.full((SIZE, SIZE, 3), 9, np.uint8), np.ones((SIZE, SIZE), np.uint8), ("set", 1))

    def another(self, kind: tuple[str, int], rng: np.random.Generator) -> Cutout:
        assert kind == ("set", 1)
        return self.other


def test_cutouts_turn_in_their_shares() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[8:24, 4:28] = 1
    cutout = Cutout(np.zeros((SIZE, SIZE, 3), np.uint8), mask, ("set", 1))
    drawn = [turning.turn(Source(), cutout, rng) for _ in range(1500)]  # type: ignore[arg-type]
    another = [pair for pair in drawn if pair[1] is Source.other]
    parts = [before for before, after in drawn if after is cutout and before is not cutout]
    assert abs(len(another) / 1500 - turning.ANOTHER) < 0.03
    assert abs(len(parts) / 1500 - turning.UNFOLDS * (1 - turning.ANOTHER)) < 0.03
    for part in parts:
        assert not np.any(part.mask & ~mask)
        assert turning.PART[0] - 0.05 <= part.mask.sum() / mask.sum() <= turning.PART[1] + 0.05


def test_an_object_without_a_class_turns_into_no_other() -> None:
    cutout = Cutout(np.zeros((SIZE, SIZE, 3), np.uint8), np.ones((SIZE, SIZE), np.uint8))
    rng = np.random.default_rng(0)
    assert all(turning.turn(Source(), cutout, rng)[1] is cutout for _ in range(50))  # type: ignore[arg-type]


def test_what_turns_changes_its_mask_and_its_texture() -> None:
    """A half of a square becomes the whole; the cells of what has turned match nothing from before."""
    before = torch.full((1, 1, 4, SIZE, SIZE), 255, dtype=torch.uint8)
    after = before.clone()
    before[..., 3, :, SIZE // 2 :] = 0
    none = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8)
    placements = torch.tensor([[[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]])
    layers = Layers(
        torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), none, torch.zeros(1, 1, dtype=torch.int64),
        before, after, torch.ones(1, 1, dtype=torch.int64), placements, torch.zeros(1, 2, 3),
    )  # fmt: skip
    look = Look(STILL, STILL, cutout_colour=0.0, colour=0.0, noise=0.0)
    clips = render_clips(layers, 5, torch.Generator().manual_seed(0), 2, look)
    areas = [int((labels == 1).sum()) for labels in clips.labels[0]]
    assert areas[0] == SIZE * SIZE // 2
    assert areas[-1] == SIZE * SIZE
    assert areas == sorted(areas)
    shown = clips.fine.textures[0]
    assert set(shown[0].unique().tolist()) == {0, 1}
    assert set(shown[-1].unique().tolist()) == {1 + CUTOUTS}
