"""No message advises an option that the command lacks from which it can come."""

import ast
import re
from pathlib import Path

import pytest
import typer

from vossegcli.cli.app import app

PACKAGE = Path(__file__).parents[2] / "vossegcli"
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
#: Options that messages of shared layers name, and the commands that these messages can come from.
REACHED = {
    "--fix-mask": ("propagate",),
    "--exact-mask": ("propagate",),
    "--max-pixels": ("propagate", "fewshot", "instance", "track"),
    "--at": ("propagate",),
    "--mask": ("propagate",),
}

#: Options of other programs: `ray start --head`, `pip install --force-reinstall`.
FOREIGN = {"--head", "--force-reinstall"}


def options() -> dict[str, set[str]]:
    """The options of every command, by its path: `propagate`, `evaluate vos`."""
    found: dict[str, set[str]] = {}

    def walk(command: object, path: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}".strip())
        if not hasattr(command, "commands"):
            found[path] = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]

    walk(typer.main.get_command(app), "")
    return found


COMMANDS = options()


def advised(path: Path) -> set[str]:
    """The options in the texts of a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {id(node.body[0].value) for node in ast.walk(tree)
                 if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
                 and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    texts = [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in documents
    ]
    return {option for text in texts for option in OPTION.findall(text)}


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if advised(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_option_that_is_advised_exists(path: Path) -> None:
    known = set().union(*COMMANDS.values()) | FOREIGN | {"--debug", "--version"}  # of vosseg itself
    assert advised(path) <= known, advised(path) - known
    parts = path.relative_to(PACKAGE).parts
    if parts[0] == "runners":
        own = [found for name, found in COMMANDS.items() if name.split()[0] == parts[1]]
        for option in advised(path):
            assert any(option in found for found in own), f"{parts[1]} has no {option}"


@pytest.mark.parametrize("option", REACHED)
def test_options_of_shared_messages_are_those_of_the_commands_they_come_from(option: str) -> None:
    for command in REACHED[option]:
        assert option in COMMANDS[command]


def test_only_propagate_is_told_of_its_options() -> None:
    """Shared readers of masks advise --fix-mask only where they are told that the command has it."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        calls = [
            n
            for n in ast.walk(ast.parse(text))
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "read_label_map"
        ]
        told = [any(k.arg == "repairable" for k in call.keywords) for call in calls]
        assert all(told) or path.relative_to(PACKAGE).as_posix() == "runners/propagate/given_masks.py", path
