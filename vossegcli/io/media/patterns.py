"""Patterns that stand for files: `*`, `?`, `[...]` and `**` as in a shell, and numbers as in FFmpeg (`%05d`)."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from vossegcli.io.media.contents import is_clutter
from vossegcli.io.records.file_names import natural_key

_WILD = frozenset("*?[")
_NUMBERED = re.compile(r"%(0?)(\d*)d")


def is_pattern(path: PurePath) -> bool:
    """Return True if a path is a pattern; an existing file of such a name is a file."""
    text = str(path)
    return not Path(path).exists() and bool(_WILD & set(text) or _NUMBERED.search(text))


def expand(pattern: Path) -> tuple[Path, list[Path]]:
    """Find what a pattern stands for, hidden entries left out.

    Returns:
        The folder above the first part with a wildcard, and the files and folders, in natural order.
    """
    root = fixed_part(pattern)
    wanted = pattern.relative_to(root).as_posix()
    exact = re.compile("".join(_expression(part) for part in re.split(r"(%0?\d*d)", wanted)))
    found = root.glob(_NUMBERED.sub("*", wanted))
    kept = [path for path in found if not any(is_clutter(part) for part in path.relative_to(root).parts)]
    if _NUMBERED.search(wanted):
        kept = [path for path in kept if exact.fullmatch(path.relative_to(root).as_posix())]
    return root, sorted(kept, key=lambda path: natural_key(path.relative_to(root).as_posix()))


def fixed_part(pattern: Path) -> Path:
    """The folder above the first part with a wildcard."""
    fixed = Path(pattern.anchor)
    for part in pattern.relative_to(pattern.anchor).parts[:-1]:
        if _WILD & set(part) or _NUMBERED.search(part):
            break
        fixed /= part
    return fixed


def _expression(part: str) -> str:
    """Write a number, or the text between numbers, as a regular expression."""
    match = _NUMBERED.fullmatch(part)
    if match is None:
        return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in part)
    return rf"-?\d{{{match[2]},}}" if match[1] else r"-?\d+"
