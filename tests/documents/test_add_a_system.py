"""`docs/add-a-system.md` followed word by word: its files are written, its lines changed, its commands run.

Covers: names
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.pages import ROOT, commands, page
from vossegcli.names import SYSTEM_NAMES

_FILE = re.compile(r"^`(?P<path>[\w/]+\.(?:py|toml))`:\n\n```\w+\n(?P<text>.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_CHANGE = re.compile(r"^In `(?P<path>[\w/.]+)`[^\n]*:\n\n```diff\n(?P<text>.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def with_the_toy(workplace: Path) -> Path:
    """The current folder with a copy of the package, to which the page's system is added."""
    shutil.copytree(ROOT / "vossegcli", workplace / "vossegcli", ignore=shutil.ignore_patterns("__pycache__"))
    (workplace / "checkpoints").symlink_to(ROOT / "checkpoints")
    files = list(_FILE.finditer(page("add-a-system")))
    assert len(files) == 7
    for file in files:
        path = workplace / file["path"]
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["text"])
    changes = list(_CHANGE.finditer(page("add-a-system")))
    assert len(changes) == 2
    for change in changes:
        _apply(workplace / change["path"], change["text"])
    return workplace


def _apply(path: Path, diff: str) -> None:
    """Replace each line that a diff takes away by the lines that follow it there; they must be in the file."""
    text = path.read_text()
    for old, new in re.findall(r"^-(.*)\n((?:\+.*\n)+)", diff, flags=re.MULTILINE):
        assert f"{old}\n" in text, f"{path.name} has no line '{old}'"
        text = text.replace(f"{old}\n", re.sub(r"^\+", "", new, flags=re.MULTILINE))
    path.write_text(text)


def test_the_system_is_added_trained_and_run(with_the_toy: Path) -> None:
    lines = list(dict.fromkeys(commands(page("add-a-system").split("## 8.")[1])))
    calls = "\n".join(f"assert app({line.split()[1:]}, standalone_mode=False) in (0, None)" for line in lines)
    code = f"import torch\ntorch.set_num_threads(1)\nfrom vossegcli.cli.app import app\n{calls}\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=with_the_toy, env={"PYTHONPATH": str(with_the_toy), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (with_the_toy / "runs" / "fewshot" / "photos" / "masks").iterdir()} == {
        "00000.png", "00001.png",
    }  # fmt: skip
    rows = (with_the_toy / "runs" / "fewshot" / "photos" / "confidence.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2
    assert (with_the_toy / "runs" / "colour" / "model.safetensors").is_file()


def test_the_toy_is_not_part_of_the_package() -> None:
    assert "colour" not in SYSTEM_NAMES
    assert not (ROOT / "vossegcli" / "systems" / "colour").exists()
