"""Every command of README, docs and cards: it runs as it stands there, or is at least one that the program knows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from tests.conftest import Outcome
from tests.documents.pages import CARDS, DOCS, ROOT, SCRIPTS, blocks, commands
from vossegcli.cli.app import app
from vossegcli.runners.propagate.confidence import FIELDS

#: Commands that need a file of others: their options are checked, they are not run.
NOT_RUN = ("vosseg checkpoints import final.pth",)
#: Commands and pages that take long even on tiny inputs. Of `train`, the README's command is always run.
LONG = ("vosseg checkpoints export",)
LONG_PAGES = ("train.md", "checkpoints.md")
#: The page of a system that is added while the test runs (`test_add_a_system.py`).
ADDED = "add-a-system.md"
PAGES = [ROOT / "README.md", *(path for path in DOCS if path.name not in {ADDED, "train.md"})]


@pytest.mark.usefixtures("quick_workers")
@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_commands_run_one_after_the_other(path: Path, workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    """As a reader would type them: later commands find what earlier ones have written."""
    run_all(path, run_line, (*NOT_RUN, *LONG))


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG_PAGES)
def test_commands_of_long_pages_run_too(name: str, workplace: Path, run_line: Callable[[str], Outcome]) -> None:
    run_all(ROOT / "docs" / name, run_line, NOT_RUN)


def run_all(path: Path, run_line: Callable[[str], Outcome], left_out: tuple[str, ...]) -> None:
    """Run the commands of a page in order and name all that fail."""
    lines = [line for line in commands(path.read_text(encoding="utf-8")) if not line.startswith(left_out)]
    ended = [(line, run_line(line)) for line in lines]
    assert not [f"{line}: exit code {end.code}: {end.stderr[-500:]}" for line, end in ended if end.code]


@pytest.mark.parametrize("path", [*CARDS, *DOCS], ids=lambda p: p.stem)
def test_commands_name_options_that_exist(path: Path) -> None:
    for line in commands(path.read_text(encoding="utf-8")):
        check_words(line)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_example_scripts_name_options_that_exist(script: Path) -> None:
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?:exec )?(vosseg .*)$", text, flags=re.MULTILINE)
    assert lines
    for line in lines:
        check_words(line)


def run_script(name: str, folder: Path, *words: object) -> str:
    """Run an example script with a `vosseg` that writes its words to `calls` and does nothing else."""
    program = folder / "bin" / "vosseg"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n')
    program.chmod(0o755)
    search = f"{program.parent}:{os.environ['PATH']}"
    command = ["/bin/sh", str(ROOT / "examples" / name), *map(str, words)]
    return subprocess.run(command, env={"PATH": search}, capture_output=True, text=True, check=True).stdout


def test_the_script_that_corrects_lists_the_lowest_scores_first(tmp_path: Path) -> None:
    rows = [(0.9, 0.50, "yes"), (0.1, 0.59, "yes"), (0.5, 0.02, "yes"), (0.3, 0.70, "no")]
    lines = [f"clip,{k:05d},1,100,0.1,{agreed},{score},{seen}" for k, (agreed, score, seen) in enumerate(rows)]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "confidence.csv").write_text("\n".join([",".join(FIELDS), *lines]) + "\n")
    listed = run_script("correct_drift.sh", tmp_path, "frames", "masks", tmp_path / "out").splitlines()
    assert listed == [lines[2], lines[0], lines[1]]


def test_the_script_without_a_mask_takes_the_first_frame_in_natural_order(tmp_path: Path) -> None:
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    for name in (".DS_Store", "9.jpg", "10.jpg"):
        (frames / name).touch()
    run_script("segment_without_a_mask.sh", tmp_path, frames, out, "2,5")
    find, follow = (tmp_path / "calls").read_text().splitlines()
    assert find.startswith(f"instance {frames}/9.jpg ")
    assert f"--mask {out}/things/coco.json --objects 2,5" in follow


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.stem)
def test_pages_begin_with_a_command_and_end_with_where_it_fails(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    first = text.index("```")
    assert blocks(text, "sh" if path.stem != "python" else "python"), path
    assert "\n## " not in text[:first], "the first command comes before the first section"
    assert headings[-1] == "Where it fails"


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for path in DOCS:
        assert f"](docs/{path.name}" in text, path.name


def test_every_command_has_an_example() -> None:
    shown = {line for path in (ROOT / "README.md", *DOCS) for line in commands(path.read_text(encoding="utf-8"))}
    for words in command_names(typer.main.get_command(app)):
        assert any(line.startswith(" ".join(["vosseg", *words])) for line in shown), words


def command_names(command: object) -> list[tuple[str, ...]]:
    """The words of every command below a group."""
    if not isinstance(command, TyperGroup):
        return [()]
    return [(name, *rest) for name, one in command.commands.items() for rest in command_names(one)]


def check_words(line: str) -> None:
    """Refuse a command line with a command or an option that the program does not have."""
    words = line.split()[1:]
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    assert isinstance(command, TyperCommand)
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in re.findall(r"(?<=\s)--?[a-zA-Z][a-z-]*", " " + " ".join(words)):
        assert word in known, f"{word} of: {line}"
