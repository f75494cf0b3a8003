"""The types of settings: a command line gives them rightly, a function or a TOML file may not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from vossegcli.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Type of a field -> what it takes, and how messages call it.
TAKEN: Final[dict[Any, tuple[tuple[type, ...], str]]] = {
    int: ((int,), "a whole number"), float: ((int, float), "a number"), str: ((str,), "a text"),
    bool: ((bool,), "True or False"),
}  # fmt: skip
UNIONS: Final = (Union, UnionType)


def settle_types(settings: DataclassInstance, where: str | None = None) -> None:
    """Give settings the types of their fields: numbers of NumPy become plain ones, lists become tuples.

    Args:
        settings: a frozen record, before anybody has seen it.
        where: what they belong to, for the message.

    Raises:
        ConfigError: a setting is of another type, as the text `2` where a number is wanted.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        given, hint = getattr(settings, field.name), hints[field.name]
        value = given.tolist() if hasattr(given, "tolist") else given
        if get_origin(hint) is tuple and isinstance(value, Collection) and not isinstance(value, str):
            value = tuple(value)
        if not _suits(value, hint):
            raise ConfigError(f"{field.name} is {given!r}", where=where, fix=f"give {_named(hint)}")
        if value is not given:
            object.__setattr__(settings, field.name, value)


def _suits(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type, or several
    origin, parts = get_origin(hint), get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(_suits(one, parts[0]) for one in value)
    if origin is Literal:
        return value in parts
    if origin in UNIONS:
        return any(_suits(value, part) for part in parts)
    kinds, _ = TAKEN.get(hint, ((origin or hint,), ""))
    return isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))  # True is no number


def _named(hint: Any) -> str:  # noqa: ANN401 - a type, or several
    origin, parts = get_origin(hint), get_args(hint)
    if origin is tuple:
        return f"a list, each part {_named(parts[0])}"
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in UNIONS:
        return " or ".join("None" if part is NoneType else _named(part) for part in parts)
    return TAKEN[hint][1] if hint in TAKEN else f"a {(origin or hint).__name__}"
