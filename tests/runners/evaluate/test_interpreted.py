"""What evaluations tell of what they interpreted in masks: once, and not what is as everybody expects."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Outcome, squares
from vossegcli.runners.evaluate.interpreted import DEEP, VOID_NOTE, Remark, remark_problems

Vosseg = Callable[..., Outcome]


def save(path: Path, *, void: bool = False, dtype: type = np.uint8, values: tuple[int, int] = (1, 2)) -> None:
    ids = squares(0, (1, 2)).astype(dtype)
    ids = np.select([ids == 1, ids == 2], values, 0).astype(dtype)
    if void:
        ids[-3:] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path)


def notes_of(outcome: Outcome) -> list[str]:
    assert outcome.code == 0, outcome.stderr
    return [line for line in outcome.stderr.splitlines() if line.startswith("note: ")]


def test_void_beside_masks_of_16_bits_is_told(vosseg: Vosseg, tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / "gt" / "a" / f"{number}.png", void=number == 1, dtype=np.uint16 if number == 2 else np.uint8)
        save(tmp_path / "gt" / "b" / f"{number}.png", void=number == 1)
        for name in ("a", "b"):
            save(tmp_path / "pred" / name / f"{number}.png")
    assert notes_of(vosseg("evaluate", "vos", tmp_path / "pred", tmp_path / "gt")) == [
        "note: all: truth: 255 read as void, which counts for nothing (in 2 sequences)",
        "note: a: truth: 255 is void in masks of 8 bits, and an id in those of 16 bits beside them. If it is an object"
        " in all, save all of them with 16 bits",
    ]
    assert not notes_of(vosseg("evaluate", "vos", tmp_path / "pred", tmp_path / "gt", "-q"))
    assert not notes_of(vosseg("evaluate", "vos", tmp_path / "pred", tmp_path / "pred")), "ids as they are"


def test_black_and_white_is_told_of_the_side_that_it_is_on(vosseg: Vosseg, tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "gt" / f"{number}.png", values=(255, 0))
        save(tmp_path / "pred" / f"{number}.png", values=(1, 0))
    for task in ("vos", "instance"):
        outcome = vosseg("evaluate", task, tmp_path / "pred", tmp_path / "gt")
        assert "truth: 0/255 read as object 1" in " ".join(notes_of(outcome))
        assert "prediction" not in outcome.stderr


def test_void_of_few_shot_truth_is_told(vosseg: Vosseg, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / "gt" / name / "0.png", void=True)
        save(tmp_path / "pred" / name / "0.png")
    assert notes_of(vosseg("evaluate", "fewshot", tmp_path / "pred", tmp_path / "gt")) == [
        "note: all: truth: 255 read as void, which counts for nothing (in 2 classes)"
    ]
    chosen = vosseg("evaluate", "fewshot", tmp_path / "pred", tmp_path / "gt", "--ignore-label", "255")
    assert not notes_of(chosen), "as asked"


@pytest.mark.parametrize(("spoil", "kind"), [("size", "misshapen"), ("bytes", "unreadable")])
def test_a_predicted_label_map_that_cannot_be_used_counts_as_empty(
    vosseg: Vosseg, tmp_path: Path, spoil: str, kind: str
) -> None:
    for name in "ab":
        save(tmp_path / "gt" / f"{name}.png")
        save(tmp_path / "pred" / f"{name}.png")
    if spoil == "size":
        Image.new("L", (9, 9), 1).save(tmp_path / "pred" / "b.png")
    else:
        (tmp_path / "pred" / "b.png").write_bytes(b"no image")
    outcome = vosseg("evaluate", "instance", tmp_path / "pred", tmp_path / "gt", "--json")
    assert outcome.code == 7
    assert outcome.stderr.startswith(f"{kind}: b: ")
    assert 0 < outcome.json()["AP"] < 1


def test_remarks_are_joined() -> None:
    void, deep = Remark("truth", VOID_NOTE), Remark("truth", DEEP)
    told = remark_problems([("a", void), ("a", void), ("b", deep), ("a", Remark("prediction", DEEP))], "sequence[|s]")
    assert [(one.kind, one.sequence, one.detail) for one in told] == [("note", "a", f"truth: {VOID_NOTE}")]
