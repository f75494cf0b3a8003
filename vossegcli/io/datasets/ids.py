"""Ids of images and categories, as annotation files and results write them: one reader for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Id = int | str
T = TypeVar("T")


def read_id(value: object) -> Id | None:
    """Read the id of an image or video: a number, or a text, which stays as it is ("000139").

    Numbers that a table or a data frame turned into 1.0 are 1.

    Returns:
        None if it is no id.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if isinstance(value, str) and value else None


def read_category_id(value: object) -> int | None:
    """Read the id of a category, a number; "1" and 1.0 are 1.

    Returns:
        None if it is no id.
    """
    found = read_id(value)
    if isinstance(found, str):
        text = found.strip()
        return int(text) if text.isascii() and text.isdecimal() else None
    return found


def look_up(value: object, listed: Mapping[Id, T]) -> Id | None:
    """Find the listed id that a reference means: the same, or the only one that is written differently ("139" for 139).

    Returns:
        None if nothing is listed under it.
    """
    found = read_id(value)
    if found is None or found in listed:
        return found
    if isinstance(found, str):
        number = read_category_id(found)
        return number if number is not None and number in listed else None
    return str(found) if str(found) in listed else None


def listed_some(items: Iterable[object], most: int = 5) -> str:
    """Write the first of some things, and how many there are beyond."""
    every = list(items)
    more = f", and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(str(item) for item in every[:most]) + more
