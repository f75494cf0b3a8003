"""Lists of names in text files, one name per line."""

from __future__ import annotations

from pathlib import Path

from vossegcli.errors import InputError

_FIX = "give a text file, one name per line"


def read_names(path: Path) -> list[str]:
    """Read names, each once, in their order; empty lines are left out.

    Raises:
        InputError: the file cannot be read or holds no name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=path, fix=_FIX) from error
    names = list(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not names:
        raise InputError("lists nothing", where=path, fix=_FIX)
    return names
