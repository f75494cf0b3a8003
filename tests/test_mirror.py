"""Finds the test of every module: by its name, or by a line `Covers: a.b, a.c` in a test file's docstring."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "vossegcli"
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
)


def covered(docstring: str | None) -> list[str]:
    """Read the modules that a docstring says a test file covers."""
    listed = re.search(r"^Covers:(.*)", docstring or "", re.DOTALL | re.MULTILINE)
    return re.findall(r"[\w.]+", listed[1]) if listed else []


@cache
def coverage() -> dict[Path, list[str]]:
    files = {path: ast.parse(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")}
    return {path: covered(ast.get_docstring(tree)) for path, tree in files.items()}


def test_a_docstring_lists_modules_over_several_lines() -> None:
    assert covered("Something.\n\nCovers: ops.masks, io.media.video,\nnames\n") == [
        "ops.masks",
        "io.media.video",
        "names",
    ]
    assert covered("Something.") == covered(None) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_test(module: str) -> None:
    *folders, name = module.split(".")
    named = TESTS.joinpath(*folders, f"test_{name}.py")
    listed = {listed_module for modules in coverage().values() for listed_module in modules}
    assert named.is_file() or module in listed, f"add {named.relative_to(TESTS.parent)}, or list it after `Covers:`"


def test_what_is_listed_exists() -> None:
    for path, modules in coverage().items():
        unknown = set(modules) - set(MODULES)
        assert not unknown, f"{path.relative_to(TESTS)} covers what does not exist: {sorted(unknown)}"
