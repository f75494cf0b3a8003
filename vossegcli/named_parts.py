"""Dictionaries of named values whose names begin with that of a part, as in state dicts: `encoder.conv1.weight`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def part_of(values: Mapping[str, Value], part: str) -> dict[str, Value]:
    """Return the values of a part, without its name.

    Examples:
        >>> part_of({"bank.keys": 1, "banks": 2}, "bank")
        {'keys': 1}
    """
    return renamed_parts(values, {f"{part}.": ""})


def joined_parts(parts: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
    """Return the values of all parts in one dictionary; the inverse of `part_of`.

    Examples:
        >>> joined_parts({"bank": {"keys": 1}, "newest": {"keys": 2}})
        {'bank.keys': 1, 'newest.keys': 2}
    """
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def renamed_parts(values: Mapping[str, Value], places: Mapping[str, str]) -> dict[str, Value]:
    """Return the values of some parts under other names.

    Args:
        values: by name.
        places: how the names of the parts begin, and what they begin with instead.

    Examples:
        >>> renamed_parts({"layer1.0.weight": 1, "fc.weight": 2}, {"layer1.": "res2."})
        {'res2.0.weight': 1}
    """
    return {
        new + name.removeprefix(old): value
        for name, value in values.items()
        for old, new in places.items()
        if name.startswith(old)
    }
