"""The numbers in the names of frames: their order, and the frame that a number means."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePath

from vossegcli.errors import InputError
from vossegcli.io.records.file_names import IMAGE_SUFFIXES, natural_key

_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_WHOLE = re.compile(r"[0-9]+")
_BEFORE_A_SIGN = " _=([,;:~"
_EXPONENT = re.compile(r"[0-9][eE][-+][0-9]")
_SIGN = rf"(?:(?<![^{re.escape(_BEFORE_A_SIGN)}])[-+])?"
_WITH_EXPONENT = re.compile(rf"({_SIGN}[0-9]+(?:\.[0-9]+)?(?:[eE][-+][0-9]+)?)")


def frame_numbers(names: Sequence[str]) -> tuple[Decimal, ...] | None:
    """Give the number of each frame where all names differ in one number only, with sign and decimals; else None.

    Args:
        names: of the frames, without suffix. `t0.25`, `phase_-3`, `run-1` and `t1e-05` hold 0.25, -3, 1 and 0.00001.
    """
    if len(names) < 2:  # noqa: PLR2004 - nothing to compare
        return None
    if any(map(_EXPONENT.search, names)):
        return _numbers_with_exponents(names)
    prefix = _before_the_number(os.path.commonprefix(list(names)), names)
    rest = [name[len(prefix) :] for name in names]
    suffix = _after_the_number(os.path.commonprefix([part[::-1] for part in rest])[::-1])
    middles = [part[: len(part) - len(suffix)] for part in rest]
    if not all(_NUMBER.fullmatch(middle) for middle in middles) or not _are_decimals(middles):
        return None
    numbers = tuple(Decimal(middle) for middle in middles)
    return numbers if len(set(numbers)) == len(numbers) else None


def in_order(files: Sequence[Path]) -> tuple[Path, ...]:
    """Sort frames by the one number in which their names differ, else naturally: `2` before `10`, `b` before `C`."""
    natural = sorted(files, key=lambda path: natural_key(path.name))
    numbers = frame_numbers([path.stem for path in natural])
    if numbers is None:
        return tuple(natural)
    return tuple(path for _, path in sorted(zip(numbers, natural, strict=True), key=lambda pair: pair[0]))


def find_frame(names: Sequence[str], at: str, where: str) -> tuple[int, str | None]:
    """Find the frame that somebody means by a name, a file's name, the number in a name, or an index.

    A number that is one frame's, whatever its padding, goes before an index.

    Args:
        names: of the frames, in order.
        at: what was said.
        where: sequence, to say in an error.

    Returns:
        The index, and a note where something was interpreted.

    Raises:
        InputError: no such frame, or several could be meant.
    """
    listed = list(names)
    for name in (at, PurePath(at).stem):
        if name in listed:
            return listed.index(name), None
    at = PurePath(at).stem if PurePath(at).suffix.lower() in IMAGE_SUFFIXES else at  # 5.jpg
    index = int(at) if at.isdecimal() and int(at) < len(listed) else None
    numbered, certain = _with_number(listed, at)
    if numbered and (not certain or len(numbered) > 1) and set(numbered) != {index}:
        readings = [f"the number in {_some([listed[i] for i in numbered])}"]
        readings += [] if index is None else [f"the index of {listed[index]} (counted from 0)"]
        if len(numbered) > 1 or index is not None:
            what = f"'{at}' can be {' or '.join(readings)}"
            raise InputError(what, where=where, fix="give the frame's whole name with --at")
    if numbered:
        found = listed[numbered[0]]
        other = f", by the number in its name; as an index it would be {listed[index]}" if index is not None else ""
        return numbered[0], f"--at {at} is frame {found}{other if index != numbered[0] else ''}"
    if index is not None:
        return index, f"--at {at} is frame {listed[index]}, by its index, counted from 0"
    raise InputError(f"has no frame '{at}' (frames: {_some(listed)})", where=where, fix="give a name or an index")


def _with_number(names: list[str], at: str) -> tuple[list[int], bool]:
    """Indices of the frames whose names hold a number, and whether it is the only one that tells them apart."""
    try:
        wanted = Decimal(at.strip())
    except InvalidOperation:
        return [], True
    numbers = frame_numbers(names)
    if numbers is not None:
        same = [index for index, number in enumerate(numbers) if number == wanted]
        if same or any(map(_EXPONENT.search, names)):
            return same, True
        return [i for i, n in enumerate(names) if Decimal(_WHOLE.findall(n)[-1]) == wanted], True  # shot1.0005
    found = [[Decimal(part) for part in _WHOLE.findall(name)] for name in names]
    if len(names) > 1 and len({len(parts) for parts in found}) == 1:  # a number that all names share says nothing
        found = [list(parts) for parts in zip(*(c for c in zip(*found, strict=True) if len(set(c)) > 1), strict=True)]
    return [index for index, parts in enumerate(found) if wanted in parts], False


def _numbers_with_exponents(names: Sequence[str]) -> tuple[Decimal, ...] | None:
    """Read the numbers of names of which some have a signed exponent, as a program writes small ones."""
    parts = [_WITH_EXPONENT.split(name) for name in names]  # text, number, text, number, ..., text
    if len({tuple(part[::2]) for part in parts}) > 1:
        return None
    columns = [column for column in zip(*(part[1::2] for part in parts), strict=True) if len(set(column)) > 1]
    numbers = tuple(Decimal(number) for number in columns[0]) if len(columns) == 1 else ()
    return numbers if len(set(numbers)) == len(names) else None


def _before_the_number(prefix: str, names: Sequence[str]) -> str:
    """Cut a common beginning where the number begins that it may reach into."""
    cut = prefix.rstrip("0123456789")
    if cut.endswith(".") and cut[-2:-1].isdecimal():
        cut = cut[:-1].rstrip("0123456789")
    signed = cut.endswith(("-", "+")) and (len(cut) == 1 or cut[-2] in _BEFORE_A_SIGN)
    if signed and all(name[len(cut) : len(cut) + 1].isdecimal() for name in names):
        cut = cut[:-1]
    return cut


def _after_the_number(suffix: str) -> str:
    """Cut a common end where the number ends that it may reach into."""
    cut = suffix.lstrip("0123456789")
    decimals = re.match(r"\.[0-9]+(?![0-9])", cut)
    return cut[decimals.end() :] if decimals and cut == suffix else cut


def _are_decimals(numbers: Sequence[str]) -> bool:
    """Return True if the digits behind points are decimals, not the parts of a version (1.9, 1.10)."""
    parts = [number.partition(".")[2] for number in numbers]
    lengths = {len(part) for part in parts if part}
    return len(lengths) <= 1 or not any(len(part) > 1 and part.endswith("0") for part in parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
