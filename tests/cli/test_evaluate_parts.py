"""`vosseg evaluate` by several runs and on a Ray cluster: the same numbers as by one.

Covers: runners.evaluate.parts
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome, draw_mask, with_ray
from vossegcli.types import Shard

Vosseg = Callable[..., Outcome]
SEQUENCES = ("ant", "bee", "cow", "dog", "eel")


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Five sequences; a predicted mask is missing and one has an unknown id."""
    for number, name in enumerate(SEQUENCES):
        for i in range(5):
            draw_mask(tmp_path / "gt" / name / f"{i:05d}.png", index=i)
            draw_mask(
                tmp_path / "pred" / name / f"{i:05d}.png", (1, 7, 9) if (number, i) == (3, 2) else (1, 7), index=2
            )
    (tmp_path / "pred" / "ant" / "00001.png").unlink()
    return tmp_path / "pred", tmp_path / "gt"


@pytest.mark.parametrize("task", ["vos", "fewshot"])
def test_shards_in_any_order_give_one_report(
    vosseg: Vosseg, masks: tuple[Path, Path], tmp_path: Path, task: str
) -> None:
    whole = vosseg("evaluate", task, *masks, "-o", tmp_path / "whole", "--json")
    order = ["1/3", "2/3", "3/3"]
    random.Random(0).shuffle(order)
    for part in order[:2]:
        outcome = vosseg("evaluate", task, *masks, "-o", tmp_path / "parts", "--shard", part)
        assert outcome.code == 0, outcome.stderr
        assert "the report needs the other parts" in outcome.stderr
        assert not (tmp_path / "parts" / "report.json").exists()
    last = vosseg("evaluate", task, *masks, "-o", tmp_path / "parts", "--shard", order[2], "--json")
    assert last.code == whole.code == 7, "a mask is missing"
    assert last.json() == whole.json()
    one, other = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "parts"))
    for report in (one, other):
        del report["facts"]
    assert one == other
    assert (tmp_path / "parts" / "report.html").is_file()
    assert not list((tmp_path / "parts" / ".vosseg").glob("scores-*"))


def test_parts_of_other_masks_are_not_used(vosseg: Vosseg, masks: tuple[Path, Path], tmp_path: Path) -> None:
    run = ("evaluate", "vos", *masks, "-o", tmp_path / "out", "--shard")
    assert vosseg(*run, "1/2").code == 0
    for name in SEQUENCES:
        draw_mask(masks[0] / name / "00002.png", (1,), index=4)
    assert vosseg(*run, "2/2", "--json").json() == {"missing": [1]}, "it scored what was there before"
    assert "report:" in vosseg(*run, "1/2").stdout


def test_parts_need_a_place_to_meet(vosseg: Vosseg, masks: tuple[Path, Path]) -> None:
    outcome = vosseg("evaluate", "vos", *masks, "--shard", "1/2")
    assert outcome.code == 5
    assert "-o" in outcome.stderr


def test_every_sequence_is_in_one_part() -> None:
    assert {k for k in (1, 2, 3) for name in SEQUENCES if Shard(k, 3).holds(name)} == {1, 2, 3}, "none is empty"


@with_ray
@pytest.mark.parametrize("task", ["vos", "fewshot"])
def test_ray_changes_nothing(vosseg: Vosseg, masks: tuple[Path, Path], task: str) -> None:
    here = vosseg("evaluate", task, *masks, "--json")
    there = vosseg("evaluate", task, *masks, "--engine", "ray", "--workers", 2, "--json")
    assert there.code == here.code, there.stderr
    assert there.json() == here.json()


def test_an_address_needs_ray(vosseg: Vosseg, masks: tuple[Path, Path]) -> None:
    outcome = vosseg("evaluate", "vos", *masks, "--address", "auto")
    assert outcome.code == 2
    assert "--engine ray" in outcome.stderr
