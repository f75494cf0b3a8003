"""Output folders: each belongs to one command, as other results would lie among those that are there."""

from __future__ import annotations

from pathlib import Path

from vossegcli.errors import InputError
from vossegcli.io.records.atomic import clean_temporaries, clean_tree
from vossegcli.io.records.json_files import read_record, records_of_runs
from vossegcli.io.records.run_records import STATE_FOLDER

FIX = "give another folder with -o/--output"
TRAINING_STATE = "state.safetensors"


def check_owner(folder: Path, own: str) -> None:
    """Refuse a folder that holds the results of another command.

    Args:
        folder: need not exist.
        own: what is to be written: `propagate`, `fewshot --episodes`, `evaluate vos`, `train`.

    Raises:
        InputError: it does.
    """
    for owner in sorted(_owners(folder) - {own}):
        raise InputError(f"holds the results of vosseg {owner}", where=folder, fix=FIX)


def clean_output(folder: Path) -> None:
    """Remove what killed runs left half-written in an output folder, and in the private one below it."""
    clean_temporaries(folder)
    clean_tree(folder / STATE_FOLDER)


def _owners(folder: Path) -> set[str]:
    """Name the commands whose results lie in a folder."""
    runs = {str(record.get("results", record["task"])) for record in records_of_runs(folder) if "task" in record}
    report = read_record(folder / "report.json")
    evaluations = {f"evaluate {report['task']}"} if "task" in report and "numbers" in report else set()
    trainings = {"train"} if (folder / TRAINING_STATE).is_file() else set()
    return runs | evaluations | trainings
