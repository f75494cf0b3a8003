"""`vosseg train` as its users meet it: what is printed where, and which code it ends with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome
from vossegcli.cli import train as module
from vossegcli.io.weights.checkpoints import read_checkpoint

SETTINGS = """
config = "compact"
holdout = 0.0
[[stages]]
name = "matching"
objective = "correspondence"
steps = 2
batch = 1
size = 32
frames = 2
"""


@pytest.fixture
def run(vosseg: Callable[..., Outcome], discs: Path, tmp_path: Path) -> Callable[..., Outcome]:
    (tmp_path / "settings.toml").write_text(SETTINGS)

    def command(*more: object) -> Outcome:
        return vosseg(
            "train", "afb-urr", *([] if "--data" in more else ["--data", discs]),
            "--config", tmp_path / "settings.toml", "-o", tmp_path / "out",
            "--device", "cpu", "--precision", "fp32", *more,
        )  # fmt: skip

    return command


def test_a_training(run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_EVERY_SECONDS", 0.0)
    outcome = run()
    assert outcome.code == 0, outcome.stderr
    out = tmp_path / "out"
    assert outcome.stdout == f"checkpoint: {out / 'model.safetensors'}\nreport: {out / 'report.html'}\n"
    notes = [line for line in outcome.stderr.splitlines() if line.startswith("note: ")]
    assert any("samples.jpg" in note for note in notes)
    lines = [line for line in outcome.stderr.splitlines() if line not in notes]
    assert [line.split(":")[0] for line in lines] == ["step 1/2", "step 2/2"]
    assert all("loss " in line for line in lines)
    assert read_checkpoint(str(out / "model.safetensors")).header.system == "afb-urr"
    assert (out / "report.html").is_file()


def test_json_and_quiet(run: Callable[..., Outcome]) -> None:
    outcome = run("--json", "-q")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["steps"] == 2
    assert outcome.stderr == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--init", "nothing-like-it"), 4, "nothing-like-it"),
        (("--device", "toaster"), 5, "unknown device 'toaster'"),
        (("--data", "absent.json"), 3, "absent.json"),
        (("--no-such-option",), 2, "No such option"),
    ],
)
def test_what_is_refused(run: Callable[..., Outcome], words: tuple[str, ...], code: int, message: str) -> None:
    outcome = run(*words)
    assert outcome.code == code, outcome.stderr
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_annotations_that_are_left_out_are_counted(run: Callable[..., Outcome], discs: Path, tmp_path: Path) -> None:
    payload = json.loads(discs.read_text())
    payload["annotations"][0]["segmentation"] = [[3, 3, 8, 8]]
    payload["annotations"][1]["image_id"] = 77
    payload["annotations"][2]["iscrowd"] = 1
    for image in payload["images"]:
        image["file_name"] = f"E:\\pictures\\{image['file_name']}"
    (tmp_path / "notes").mkdir()
    file = tmp_path / "notes" / "x.json"
    file.write_text(json.dumps(payload))
    refused = run("--data", file, "--dry-run")
    assert refused.code == 3 and "4 pictures are missing" in refused.stderr and "--images" in refused.stderr
    outcome = run("--data", file, "--images", discs.parent, "--dry-run")
    assert outcome.code == 0, outcome.stderr
    for reason in ("nothing but degenerate polygons", "of images that are not listed"):
        assert f"note: x.json: left out: 1 annotation {'with ' if 'poly' in reason else ''}{reason}" in outcome.stderr
    assert "note: x.json: left out: 1 crowd" in outcome.stderr


def test_all_faults_are_listed_with_their_annotations(run: Callable[..., Outcome], discs: Path, tmp_path: Path) -> None:
    payload = json.loads(discs.read_text())
    payload["annotations"][1]["segmentation"] = [[3, 3, 8, float("nan"), 5, 5]]
    payload["annotations"][4]["segmentation"] = {"size": [1, 1], "counts": [1]}
    file = tmp_path / "x.json"
    file.write_text(json.dumps(payload))
    outcome = run("--data", file, "--dry-run")
    assert outcome.code == 3
    assert "annotation 1: a polygon" in outcome.stderr and "annotation 4: size [1, 1]" in outcome.stderr
