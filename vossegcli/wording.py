"""Numbers in messages."""

from __future__ import annotations

import re

_FORMS = re.compile(r"\[([a-z ]*)\|([a-z ]*)\]")


def counted(count: int, text: str) -> str:
    """Write a number and what it counts.

    Args:
        count: the number.
        text: with the singular and plural forms where they differ.

    Examples:
        >>> counted(1, "picture[|s] [is|are] missing")
        '1 picture is missing'
        >>> counted(20, "class[|es]")
        '20 classes'
    """
    return f"{count} {_FORMS.sub(lambda forms: forms[1 if count == 1 else 2], text)}"
