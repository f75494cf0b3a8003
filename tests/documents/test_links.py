"""Every relative link of the documents leads to a file and a heading, every path they name exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.pages import CARDS, PAGES, ROOT, anchors, links, paths

READ = [*PAGES, *CARDS, ROOT / "benchmarks" / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]
MADE_BY_THE_READER = ("vossegcli/systems/colour",)  # of add-a-system.md


@pytest.mark.parametrize("path", READ, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name}: {link}"
        assert file.is_relative_to(ROOT), f"{path.name}: {link} leads out of the repository"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{path.name}: no heading for {link}"


@pytest.mark.parametrize("path", READ, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_paths_in_code_style_exist(path: Path) -> None:
    for name in paths(path.read_text(encoding="utf-8")):
        if not name.startswith(MADE_BY_THE_READER):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_there_are_links_and_paths_to_check() -> None:
    text = (ROOT / "docs" / "batches.md").read_text(encoding="utf-8")
    assert len(links(text)) >= 4
    assert "tests/batch/test_faults.py" in paths(text)
