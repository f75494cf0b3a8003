"""`import vossegcli` costs nothing, and still offers every function."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vossegcli


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys; old = set(sys.modules); import vossegcli; dir(vossegcli); print(*(set(sys.modules) - old))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in found.stdout.split() if name.split(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"vossegcli"}


def test_every_name_leads_to_a_documented_function() -> None:
    for name in vossegcli.__all__:
        assert name in dir(vossegcli)
        if name != "__version__":
            assert callable(getattr(vossegcli, name))
            assert getattr(vossegcli, name).__module__.startswith("vossegcli.api.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        _ = vossegcli.segment


def test_the_types_ship() -> None:
    assert (Path(vossegcli.__file__).parent / "py.typed").is_file()
