"""Label stacks as ground truth and as predictions of `evaluate vos` and `evaluate instance`.

Covers: runners.evaluate.sources
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.conftest import Outcome, files_below, leave_temporaries, squares
from vossegcli.io.datasets.unfolded_stacks import find_stacks

TRUTH = np.stack([squares(index, (1, 2, 300)) for index in range(5)])
PREDICTED = np.roll(TRUTH, 1, axis=2)
Vosseg = Callable[..., Outcome]


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Two sequences, as folders of PNG and as stacks."""
    for kind, ids in (("truth", TRUTH), ("predicted", PREDICTED)):
        for name in ("a", "b"):
            for index, ids_map in enumerate(ids):
                path = tmp_path / kind / "folders" / name / f"f{index:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(ids_map).save(path)
            (tmp_path / kind / "stacks").mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / "stacks" / f"{name}.tif", ids, metadata={"axes": "TYX"})
    return tmp_path


@pytest.mark.parametrize("task", ["vos", "instance"])
def test_stacks_score_like_folders(task: str, vosseg: Vosseg, masks: Path) -> None:
    def numbers(predicted: str, truth: str) -> dict[str, float]:
        outcome = vosseg("evaluate", task, masks / "predicted" / predicted, masks / "truth" / truth, "--json")
        assert outcome.code == 0, outcome.stderr
        assert ("masks were read from the pages" in outcome.stderr) == ("stacks" in predicted + truth)
        return {name: value for name, value in outcome.json().items() if isinstance(value, float)}

    of_folders = numbers("folders", "folders")
    assert numbers("stacks", "stacks") == numbers("stacks", "folders") == numbers("folders", "stacks") == of_folders
    assert numbers("stacks/a.tif", "stacks/b.tif") == numbers("folders/a", "folders/a")
    assert numbers("stacks/a.tif", "folders/a") == numbers("folders/a", "folders/a")


def test_a_sequence_is_called_like_its_stack(vosseg: Vosseg, masks: Path) -> None:
    stacks = [masks / kind / "stacks" / "a.tif" for kind in ("predicted", "truth")]
    assert set(vosseg("evaluate", "vos", *stacks, "--json").json()["per_object"]) == {"a_1", "a_2", "a_300"}


def test_a_report_is_written_again_into_its_folder(vosseg: Vosseg, masks: Path) -> None:
    """What a killed run has left goes, masks that were made are used again, and none that were made of other files."""
    predicted, out = masks / "predicted" / "stacks", masks / "report"
    call = ("evaluate", "vos", predicted, masks / "truth" / "folders", "-o", out, "--json")
    first = vosseg(*call).json()
    (made,) = (out / ".vosseg" / "masks" / "predictions").iterdir()
    leave_temporaries(out, out / ".vosseg", made.parent, made / "stacks")
    marks = {path: path.stat().st_mtime_ns for path in made.rglob("*.png") if not path.name.startswith(".")}
    assert vosseg(*call).json() == first
    assert not [path for path in files_below(out) if Path(path).name.startswith(".vosseg-")]
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*.png")} == marks
    tifffile.imwrite(predicted / "b.tif", TRUTH, metadata={"axes": "TYX"})
    assert vosseg(*call).json()["J&F-Mean"] > first["J&F-Mean"], "other predictions"
    (predicted / "b.tif").unlink()
    shutil.copytree(masks / "truth" / "folders" / "b", predicted / "b")
    assert vosseg(*call).code == 0
    (predicted / "b" / "f002.png").unlink()
    outcome = vosseg(*call)
    assert outcome.code == 7
    assert "b/f002" in outcome.stderr, "not linked from before"


def test_what_a_run_saves_as_stacks(masks: Path) -> None:
    run = masks / "run"
    run.mkdir()
    (masks / "predicted" / "stacks").rename(run / "stack")
    assert list(find_stacks(run)) == ["a", "b"]
    (masks / "predicted" / "folders").rename(run / "masks")
    assert find_stacks(run) == {}, "masks are there: they count"


def test_stacks_of_other_axes_and_values_are_refused(vosseg: Vosseg, masks: Path) -> None:
    truth = masks / "truth" / "stacks" / "a.tif"
    tifffile.imwrite(masks / "z.tif", np.stack([PREDICTED, PREDICTED]), metadata={"axes": "TZYX"})
    outcome = vosseg("evaluate", "vos", masks / "z.tif", truth)
    assert outcome.code == 3 and "z.tif" in outcome.stderr and "--axis" not in outcome.stderr, outcome.stderr
    tifffile.imwrite(masks / "f.tif", PREDICTED.astype(np.float32) / 7, metadata={"axes": "TYX"})
    outcome = vosseg("evaluate", "instance", masks / "f.tif", truth)
    assert outcome.code == 3 and "no ids" in outcome.stderr, outcome.stderr
