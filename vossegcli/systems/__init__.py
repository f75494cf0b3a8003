"""The table of systems. Adding one is a folder, a line here and a line in `names.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from vossegcli.errors import ConfigError
from vossegcli.systems.base import System

#: Name of a system -> the module that holds its record, `SYSTEM`.
MODULES: Final = {
    "afb-urr": "vossegcli.systems.afb_urr",
    "fwb": "vossegcli.systems.fwb",
    "b2inst": "vossegcli.systems.b2inst",
    "mobileinst": "vossegcli.systems.mobileinst",
}


class SystemTable(Mapping[str, System]):
    """Systems by name; the code of a system is loaded when it is first looked up, since some take seconds to import."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, name: str) -> System:
        system: System = import_module(self._modules[name]).SYSTEM
        return system

    def __contains__(self, name: object) -> bool:
        """Say whether there is such a system, without loading it."""
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


SYSTEMS: Final = SystemTable(MODULES)


def get_system(name: str) -> System:
    """Look up a system.

    Raises:
        ConfigError: no such system.
    """
    if name not in SYSTEMS:
        raise ConfigError(f"unknown system '{name}'", fix=f"use one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
