"""Interpretations of the masks of an evaluation, told once for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vossegcli.scores import Problem
from vossegcli.wording import counted

VOID_NOTE = "255 read as void, which counts for nothing"
DEEP = "masks of more than 8 bits"


class Remark(NamedTuple):
    """A fact about a mask.

    Attributes:
        side: `truth` or `prediction`.
        text: what was interpreted, or `DEEP`.
    """

    side: str
    text: str


def remark_problems(remarks: Iterable[tuple[str, Remark]], unit: str) -> list[Problem]:
    """Say once what was interpreted in many masks.

    Args:
        remarks: (name of a sequence or class, remark).
        unit: what the names are of, in its two forms.
    """
    names: dict[Remark, dict[str, None]] = {}
    for name, remark in remarks:
        names.setdefault(remark, {})[name] = None
    found = []
    for remark, shown in names.items():
        if remark.text == DEEP:
            continue
        where = next(iter(shown)) if len(shown) == 1 else "all"
        several = f" (in {counted(len(shown), unit)})" if len(shown) > 1 else ""
        found.append(Problem("note", where, None, f"{remark.side}: {remark.text}{several}"))
        mixed = [name for name in shown if name in names.get(Remark(remark.side, DEEP), {})]
        if remark.text == VOID_NOTE and mixed:
            found.append(Problem("note", mixed[0], None, f"{remark.side}: {_MIXED}"))
    return found


_MIXED = (
    "255 is void in masks of 8 bits, and an id in those of 16 bits beside them. If it is an object in all, save all of"
    " them with 16 bits"
)
