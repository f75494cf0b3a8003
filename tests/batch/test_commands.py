"""All commands with workers: the same files, byte for byte, as from one process.

Covers: batch.items, batch.options, batch.run
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome, draw_mask, draw_video, files_below
from vossegcli.batch.command import BatchCommand, SingleItemCommand

Vosseg = Callable[..., Outcome]
RECORDS = ("run.json", "run.jsonl", "lock", "tables.lock")


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    for name in "abc":
        draw_video(tmp_path / "root" / name, 4, suffix=".png")
        draw_mask(tmp_path / "given" / name / "00000.png")
    return tmp_path / "root"


@pytest.mark.usefixtures("quick_workers")
@pytest.mark.parametrize("command", ["propagate", "track", "instance", "fewshot"])
def test_workers_write_what_one_process_writes(
    vosseg: Vosseg, sequences: Path, checkpoint: Path, tiny_tracker: Path, few_shot_checkpoint: Path, tmp_path: Path,
    command: str,
) -> None:  # fmt: skip
    given = tmp_path / "given"
    support = tmp_path / "support" / "square"
    draw_video(support, 1, suffix=".jpg")
    draw_mask(support / "00000.png", ids=(1,))
    options: list[object] = {
        "propagate": ["--mask", given, "--checkpoint", checkpoint, "--save", "masks,overlay,probabilities"],
        "track": ["--checkpoint", tiny_tracker, "--save", "masks,coco,overlay"],
        "instance": ["--checkpoint", tiny_tracker, "--save", "masks,coco,overlay,cutouts"],
        "fewshot": ["--support", support.parent, "--checkpoint", few_shot_checkpoint, "--save", "masks,overlay"],
    }[command]  # type: ignore[assignment]
    words = [command, sequences, *options, "--device", "cpu", "--precision", "fp32"]
    assert vosseg(*words, "-o", tmp_path / "one").code == 0
    outcome = vosseg(*words, "-o", tmp_path / "two", "--workers", 2)
    assert outcome.code == 0, outcome.stderr
    one, two = (files_below(tmp_path / name, but=RECORDS) for name in ("one", "two"))
    assert len(one) > 6
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_what_a_command_must_say() -> None:
    """Python refuses to build a command that lacks one of them."""
    assert BatchCommand.__abstractmethods__ == {"find", "plan", "new_predictor", "session"}
    assert SingleItemCommand.__abstractmethods__ == {"find", "plan", "new_predictor", "run"}
