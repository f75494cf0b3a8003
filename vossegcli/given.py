"""Read what people give to commands and functions: paths and lists of names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def given_path(path: str | Path) -> Path:
    """Read a path; `~` at its beginning is the home folder, also where no shell has replaced it.

    A `~` that stands for no home folder is part of a name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def optional_path(path: str | Path | None) -> Path | None:
    """Read a path that may be left out."""
    return None if path is None else given_path(path)


def given_text(text: str | Path) -> str:
    """Read what is a path, a pattern, or a name of something else."""
    return str(given_path(text)) if str(text).startswith("~") else str(text)


def given_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Read names, or a text with commas between them, without blanks around them; empty ones are left out."""
    listed = names.split(",") if isinstance(names, str) else names
    return tuple(name.strip() for name in listed if name.strip())
