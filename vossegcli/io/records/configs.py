"""Reading TOML settings."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from vossegcli.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: it is absent or not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))  # editors of Windows write a byte order mark
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=path, fix="give a TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not TOML: it is no text in UTF-8", where=path, fix="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML ({error})", where=path, fix="fix that line") from error
