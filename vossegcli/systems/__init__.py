"""The table of systems. Adding one is a folder, a line here and a line in `names.py`."""

from __future__ import annotations

from vossegcli.errors import ConfigError
from vossegcli.systems import afb_urr, b2inst, fwb, mobileinst
from vossegcli.systems.base import System

SYSTEMS: dict[str, System] = {
    system.name: system for system in (afb_urr.SYSTEM, b2inst.SYSTEM, fwb.SYSTEM, mobileinst.SYSTEM)
}


def get_system(name: str) -> System:
    """Look up a system.

    Raises:
        ConfigError: no such system.
    """
    try:
        return SYSTEMS[name]
    except KeyError:
        raise ConfigError(f"unknown system '{name}'", fix=f"use one of {', '.join(SYSTEMS)}") from None
