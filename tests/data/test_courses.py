from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vossegcli.data.courses import AREA_RATIO, FULL_GROWTH, KINDS, draw_places
from vossegcli.data.motion import Motion
from vossegcli.data.synthetic import Layers, Look, render_clips

STILL = Motion(0.0, 0.0, 0.0, 0.0, 0.0)
SIZE = 64


def areas(placement: tuple[float, ...], course: tuple[float, float, float], frames: int) -> list[int]:
    """Pixels of a square cut-out in each frame."""
    none = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8)
    layers = Layers(
        torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), none, torch.zeros(1, 1, dtype=torch.int64),
        *[torch.full((1, 1, 4, SIZE, SIZE), 255, dtype=torch.uint8)] * 2, torch.ones(1, 1, dtype=torch.int64),
        torch.tensor([[[0.0, 0.0, 0.0, 1.0], placement]]), torch.tensor([[[0.0, 0.0, 0.0], course]]),
    )  # fmt: skip
    clips = render_clips(layers, frames, torch.Generator().manual_seed(0), 2, Look(STILL, STILL))
    return [int((frame == 1).sum()) for frame in clips.labels[0]]


def test_an_object_grows_by_its_course() -> None:
    growth = 0.5 * math.log(6.0)
    whole = areas((0.0, 0.0, -1.5, 1.0), (0.0, 0.0, growth), FULL_GROWTH)
    assert whole[-1] / whole[0] == pytest.approx(6.0, rel=0.15)
    short = areas((0.0, 0.0, -1.5, 1.0), (0.0, 0.0, growth), 3)
    assert short[-1] / short[0] == pytest.approx(6.0 ** (2 / (FULL_GROWTH - 1)), rel=0.15)


def test_an_object_enters_over_the_border() -> None:
    seen = areas((1.0, 0.0, -1.0, 1.0), (-0.8, 0.0, 0.0), 3)
    assert seen[0] < 0.6 * seen[-1]
    assert seen[0] > 0


def test_courses_are_drawn_in_their_shares() -> None:
    rng = np.random.default_rng(0)
    ids = np.array([1, 0, -1])
    kinds = dict.fromkeys(KINDS, 0)
    rounds = 800
    for _ in range(rounds):
        placements, courses = draw_places(ids, rng)
        assert placements.shape == (4, 4) and courses.shape == (4, 3)
        assert not courses[3].any(), "no cut-out, no course"
        growth = courses[1, 2]
        if growth:
            assert AREA_RATIO[0] <= np.exp(2 * abs(growth)) <= AREA_RATIO[1]
            kinds["grows" if growth > 0 else "shrinks"] += 1
        elif courses[1].any():
            axis = int(np.abs(courses[1]).argmax())
            assert placements[1, axis] * courses[1, axis] < 0, "it moves inwards"
            kinds["enters"] += 1
        elif courses[2].any():
            away = placements[2, :2] - placements[1, :2]
            assert np.dot(away, courses[2, :2]) > 0, "what covers it goes away"
            kinds["uncovered"] += 1
        else:
            kinds["free"] += 1
    for kind, share in KINDS.items():
        assert kinds[kind] / rounds == pytest.approx(share, abs=0.05), kind
