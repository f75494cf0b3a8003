"""Patterns that stand for files."""

from pathlib import Path

import pytest

from vossegcli.io.media.patterns import expand, fixed_part, is_pattern


@pytest.mark.parametrize(("pattern", "names"), [
    ("f_%05d.png", ["f_00001.png", "f_00002.png", "f_00010.png"]),
    ("f_%d.png", ["f_00001.png", "f_00002.png", "f_00010.png", "f_3.png"]),
    ("f_%02d.png", ["f_00001.png", "f_00002.png", "f_00010.png"]),
    ("f_?.png", ["f_3.png", "f_x.png"]),
    ("*.jpg", ["a+b.jpg"]),
    ("a+%s.jpg", []),
])  # fmt: skip
def test_numbers_and_wildcards(pattern: str, names: list[str], tmp_path: Path) -> None:
    for name in ("f_00001.png", "f_00002.png", "f_00010.png", "f_3.png", "f_x.png", ".f_00007.png", "a+b.jpg"):
        (tmp_path / name).touch()
    root, found = expand(tmp_path / pattern)
    assert root == tmp_path
    assert sorted(path.name for path in found) == names


def test_what_is_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "take[1]").touch()
    assert not is_pattern(tmp_path / "take[1]")
    assert is_pattern(tmp_path / "take[2]")
    assert not is_pattern(tmp_path / "100%.png")
    assert fixed_part(Path("a/b*/c/d.png")) == Path("a")
    assert fixed_part(Path("/a/f_%05d.png")) == Path("/a")
