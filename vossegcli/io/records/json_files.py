"""Reading json files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vossegcli.errors import InputError


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a json file, in UTF-8, -16 or -32, with or without a byte order mark.

    Raises:
        InputError: it cannot be read or is no json.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, fix="check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({error})", where=path, fix="give a json file") from error


def read_report(path: Path) -> dict[str, Any]:
    """Read the `report.json` of an evaluation.

    Raises:
        InputError: it is none.
    """
    report = read_json(path)
    numbers = report.get("numbers") if isinstance(report, dict) else None
    if not isinstance(numbers, dict) or not all(isinstance(value, int | float) for value in numbers.values()):
        raise InputError("is not the report.json of an evaluation", where=path, fix="give the one that -o wrote")
    return {"task": None, "facts": {}, **report}


def read_record(path: Path) -> dict[str, Any]:
    """Read a file of our own, or nothing where there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def read_run(output: Path) -> dict[str, Any]:
    """Read `run.json`, or nothing where there is none that can be read."""
    return read_record(output / "run.json")


def records_of_runs(output: Path) -> list[dict[str, Any]]:
    """Read the records of the runs that wrote a folder, also those of shards."""
    return [read_run(output), *(read_record(path) for path in output.glob("run-*-of-*.json"))]


def find_run_record(path: Path) -> dict[str, Any]:
    """Read the `run.json` of the run that wrote a folder, which lies in it or above; {} where there is none of ours."""
    for folder in (path, *path.absolute().parents[:3]):
        record = read_run(folder)
        if isinstance(record.get("checkpoint"), dict):
            return record
    return {}
