"""`vosseg train` as its users meet it: what is printed where, and which code it ends with."""

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
            "train", "afb-urr", "--data", discs, "--config", tmp_path / "settings.toml", "-o", tmp_path / "out",
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
