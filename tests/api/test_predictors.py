"""A predictor by the name of a task or a checkpoint (the examples of `docs/python.md` run all four)."""

from __future__ import annotations

from pathlib import Path

import pytest

import vossegcli
from vossegcli.errors import CheckpointError, ConfigError


def test_a_checkpoint_decides_the_task(checkpoint: Path, few_shot_checkpoint: Path, tiny_tracker: Path) -> None:
    assert hasattr(vossegcli.load_predictor(str(checkpoint), device="cpu"), "add_objects")
    assert hasattr(vossegcli.load_predictor(str(few_shot_checkpoint), device="cpu"), "fit")
    assert hasattr(vossegcli.load_predictor(str(tiny_tracker), device="cpu"), "step")


def test_a_checkpoint_can_be_asked_for_another_task_of_its_system(tiny_tracker: Path) -> None:
    predictor = vossegcli.load_predictor(str(tiny_tracker), task="instance", device="cpu")
    assert not hasattr(predictor, "step")
    with pytest.raises(CheckpointError):
        vossegcli.load_predictor(str(tiny_tracker), task="fewshot", device="cpu")


@pytest.mark.parametrize(("size", "side"), [(None, 480), (240, 240), ("native", None)])
def test_the_size_of_a_video_predictor(checkpoint: Path, size: int | None, side: int | None) -> None:
    assert vossegcli.load_predictor(str(checkpoint), device="cpu", size=size).short_side == side


@pytest.mark.parametrize(("size", "side"), [(240, 240), ("native", 0)])
def test_the_size_of_a_few_shot_predictor(few_shot_checkpoint: Path, size: int | None, side: int | None) -> None:
    assert vossegcli.load_predictor(str(few_shot_checkpoint), device="cpu", size=size).short_side == side


def test_what_cannot_be_used_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint 'propagat'"):
        vossegcli.load_predictor("propagat")
    with pytest.raises(ConfigError, match="budgets"):
        vossegcli.load_predictor(str(checkpoint), device="cpu", budgets=3)
