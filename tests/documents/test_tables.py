"""Tables of the documents against the code: options, settings of a training, checkpoints, exit codes."""

from __future__ import annotations

import re
import signal
import tomllib
from dataclasses import MISSING, Field, fields
from typing import Any

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from tests.documents.pages import ROOT, code, page, section, table, tables
from vossegcli.cli import exit_codes
from vossegcli.cli.app import app
from vossegcli.io.weights.checkpoints import read_header, read_manifest
from vossegcli.systems import SYSTEMS
from vossegcli.training.settings import Stage, TrainingSettings


def command_named(*names: str) -> TyperCommand:
    found: Any = typer.main.get_command(app)
    for name in names:
        assert isinstance(found, TyperGroup)
        found = found.commands[name]
    return found


def long_options(command: Any) -> set[str]:
    """The long names of all options of a command or group but `--help`."""
    if isinstance(command, TyperGroup):
        return set().union(*(long_options(one) for one in command.commands.values()))
    names = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return {name for name in names if name.startswith("--")} - {"--help"}


@pytest.mark.parametrize("name", ["propagate", "fewshot", "instance", "track", "evaluate", "train", "checkpoints"])
def test_a_page_names_every_option_of_its_command(name: str) -> None:
    text = page(name)
    named = {word for cell in re.findall(r"`(--[^`]+)`", text) for word in re.findall(r"--[a-z-]+", cell)}
    assert long_options(command_named(name)) <= named


def test_tables_of_options_hold_no_other_ones() -> None:
    for name in ("propagate", "fewshot", "instance", "track", "evaluate", "train", "checkpoints"):
        known = long_options(command_named(name))
        listed = {
            word for rows in tables(page(name)) if "option" in rows[0] for row in rows for word in code(row["option"])
        }
        assert listed
        assert {word for word in listed if word.startswith("--")} <= known, name


def test_the_page_of_batches_lists_the_options_that_all_batch_commands_share() -> None:
    shared = set.intersection(*(long_options(command_named(n)) for n in ("propagate", "fewshot", "instance", "track")))
    rows = table(section(page("batches"), "## Options"), "option", "what it does")
    listed = {word for row in rows for word in code(row["option"]) if word.startswith("--")}
    assert listed == shared - {"--checkpoint", "--size"}  # which are on each command's page


@pytest.mark.parametrize(("record", "number"), [(TrainingSettings, 0), (Stage, 1)])
def test_the_settings_of_a_training_are_those_of_the_code(record: type, number: int) -> None:
    found = [rows for rows in tables(page("train")) if list(rows[0]) == ["field", "default", "meaning"]]
    rows = {code(row["field"])[0]: row["default"] for row in found[number]}
    assert list(rows) == [one.name for one in fields(record) if one.name != "stages"]
    for one in fields(record):
        if one.name in rows:
            assert same_default(rows[one.name], one), f"{one.name}: {rows[one.name]}"


def same_default(cell: str, one: Field[Any]) -> bool:
    """Compare a cell of the table, as TOML, with the default of a field."""
    if one.default is MISSING and one.default_factory is MISSING:
        return cell == "required"
    value = one.default if one.default is not MISSING else one.default_factory()
    value = list(value) if isinstance(value, tuple) else value
    return bool(tomllib.loads(f"value = {code(cell)[0]}")["value"] == value)


def test_the_objectives_are_those_of_the_systems() -> None:
    rows = table(page("train"), "objective", "system", "teaches")
    listed = {(code(row["objective"])[0], system) for row in rows for system in code(row["system"])}
    assert listed == {(name, system.name) for system in SYSTEMS.values() for name in system.objectives}


def test_the_checkpoints_are_those_of_the_manifest() -> None:
    rows = table(page("checkpoints"), "name", "command", "classes", "card")
    assert [code(row["name"])[0] for row in rows] == [entry.name for entry in read_manifest()]
    for row, entry in zip(rows, read_manifest(), strict=True):
        if entry.default_for is not None:
            assert code(row["command"])[0] == entry.default_for
        labels = read_header(ROOT / "checkpoints" / entry.file).labels
        assert not labels or row["classes"] == ", ".join(labels)


def test_the_readme_lists_every_system_and_every_embedded_checkpoint() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = table(text, "system", "paper", "command")
    assert {row["system"].lower() for row in rows} == {name.lower() for name in SYSTEMS}
    for row in rows:
        assert code(row["command"]) == list(SYSTEMS[row["system"].lower()].predictors)
    for entry in read_manifest():
        assert f"(checkpoints/{entry.name}.md)" in section(text, "## How good, how fast")


def test_the_exit_codes_are_those_of_the_code() -> None:
    listed = {
        int(number) for row in table(page("batches"), "exit code", "meaning") for number in row["exit code"].split(",")
    }
    stopped = {exit_codes.OF_SIGNAL + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    known = {exit_codes.BUG, exit_codes.SOME_FAILED, *stopped}
    assert listed == {0, 2, *known, *exit_codes.CODES.values()}


def test_the_version_is_the_same_everywhere() -> None:
    from vossegcli import __version__

    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("## ")[1].startswith(f"{__version__}\n")
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
