"""Options that commands share, as a dataclass: one field an option."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

from vossegcli.cli import options as o


def with_common_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a dataclass: its parameter `common` becomes one parameter for each field."""
    hints = get_type_hints(function, include_extras=True)
    kind = hints["common"]
    shared = get_type_hints(kind, include_extras=True)
    own = inspect.signature(function).parameters.values()
    parameters = [p.replace(annotation=hints[p.name]) for p in own if p.name != "common"] + [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=shared[f.name])
        for f in fields(kind)
    ]

    @functools.wraps(function)
    def command(**values: Any) -> None:  # noqa: ANN401
        common = kind(**{f.name: values.pop(f.name) for f in fields(kind)})
        o.prepare_threads(common.threads)  # before the command imports torch
        function(**values, common=common)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
