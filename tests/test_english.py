"""Plain English in docstrings and messages: a verb or a noun comes first, and the words are those people search for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vossegcli"
FILES = sorted(PACKAGE.rglob("*.py"))
QUESTION = re.compile(r"(What|Who|Whose|How|Where|Whether|Which|When|Why)\b")
#: Words that nobody searches for, and what to say instead.
STILTED = {r"\bmend": "fix", r"\"is not there\"": "is missing", r"\bsuffices?\b": "is enough"}


def docstrings(tree: ast.AST) -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return [text for text in found if text]


def stilted(text: str) -> list[str]:
    return [better for word, better in STILTED.items() if re.search(word, text)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_docstrings_begin_with_a_verb_or_a_noun(path: Path) -> None:
    for text in docstrings(ast.parse(path.read_text(encoding="utf-8"))):
        assert not QUESTION.match(text), text.splitlines()[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_plain_words(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        assert not stilted(line), f"say '{stilted(line)[0]}': {line.strip()}"


def test_both_rules_find_what_they_look_for() -> None:
    tree = ast.parse('"""Whatever."""\ndef f():\n    """Whether it is."""\nclass A:\n    """How."""')
    assert [bool(QUESTION.match(text)) for text in docstrings(tree)] == [False, True, True]
    assert stilted("mend that line") == ["fix"]
    assert stilted("amended, it is there") == []
