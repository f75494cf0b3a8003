"""The documents as data: their commands, links, tables and blocks of code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
CARDS = sorted((ROOT / "checkpoints").glob("*.md"))
SCRIPTS = sorted((ROOT / "examples").glob("*.sh"))

_BLOCK = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def page(name: str) -> str:
    """The text of a page of `docs/`."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of a kind, e.g. `python`."""
    return [found["text"] for found in _BLOCK.finditer(text) if found["kind"] == kind]


def commands(text: str) -> list[str]:
    """The `vosseg` commands of the shell blocks, in order, comments left out."""
    lines = [line.split(" #")[0].strip() for block in blocks(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("vosseg ")]


def links(text: str) -> list[str]:
    """The targets of all links and pictures outside blocks of code."""
    return re.findall(r"\]\(([^)\s]+)\)", _BLOCK.sub("", text))


def paths(text: str) -> list[str]:
    """The paths of this repository that the text names in code style."""
    folders = ("tests/", "examples/", "benchmarks/", "vossegcli/", "docs/", "checkpoints/")
    words = [word for code in _CODE.findall(_BLOCK.sub("", text)) for word in code.split()]
    return [word for word in words if word.startswith(folders) and "<" not in word and "*" not in word]


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """The text below a heading up to the next of its level."""
    level, _ = heading.split(" ", 1)
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, flags=re.DOTALL | re.MULTILINE
    )
    assert found, f"no section '{heading}'"
    return found[1]


def tables(text: str) -> list[list[dict[str, str]]]:
    """The tables: a list of rows each, by the headings of the columns."""
    found = []
    for table in re.findall(r"(?:^\|.*\|\n)+", text + "\n", flags=re.MULTILINE):
        heads, _, *rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in table.splitlines()]
        found.append([dict(zip(heads, row, strict=True)) for row in rows])
    return found


def table(text: str, *heads: str) -> list[dict[str, str]]:
    """The first table whose first columns have these headings."""
    for rows in tables(text):
        if rows and tuple(rows[0])[: len(heads)] == heads:
            return rows
    raise AssertionError(f"no table with the columns {heads}")


def code(cell: str) -> list[str]:
    """What a cell of a table shows in code style."""
    return _CODE.findall(cell)
