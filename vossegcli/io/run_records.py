"""Files that record a run: `run.json`, `run.jsonl`, and one marker per finished item for resuming."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vossegcli.errors import InputError
from vossegcli.io.atomic import write_text_atomic
from vossegcli.types import FrameSequence

STATE_FOLDER = ".vosseg"


def fingerprint(files: Iterable[Path], settings: Mapping[str, Any]) -> str:
    """Hash what a result depends on: each file's name, size and time of change, and the settings.

    Raises:
        InputError: a file has gone.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=path, fix="check the file") from error
        digest.update(f"\n{path.name}\t{stat.st_size}\t{stat.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def sequence_files(sequence: FrameSequence) -> tuple[Path, ...]:
    """The files that a sequence is made of."""
    return sequence.frames if sequence.video is None else (sequence.video,)


class ItemState:
    """The private files of one item below `OUTPUT/.vosseg`: marker, snapshot and rows.

    Args:
        output: the run's output folder.
        name: POSIX path that names the item.
    """

    def __init__(self, output: Path, name: str) -> None:
        self.output = output
        folder = output / STATE_FOLDER / name
        self.marker = folder.with_name(folder.name + ".json")
        self.snapshot = folder.with_name(folder.name + ".safetensors")
        self.rows = folder.with_name(folder.name + ".rows.jsonl")

    def why_done(self, key: str) -> str | None:
        """Say why the item need not be done again, or None if it must."""
        marker = self._read_marker()
        if marker is None or marker.get("key") != key:
            return None
        if all((self.output / path).is_file() for path in marker["outputs"]):
            return "already done"
        return None

    def mark_done(self, key: str, outputs: Iterable[str], facts: Mapping[str, Any]) -> None:
        """Record that the item is done: its key and the files (relative to the output folder) that must exist."""
        text = json.dumps({"key": key, "outputs": list(outputs), **facts})
        write_text_atomic(self.marker, text)
        self.snapshot.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything about the item."""
        for path in (self.marker, self.snapshot, self.rows):
            path.unlink(missing_ok=True)

    def _read_marker(self) -> dict[str, Any] | None:
        try:
            marker = json.loads(self.marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return marker if isinstance(marker, dict) and isinstance(marker.get("outputs"), list) else None


def write_run(output: Path, record: Mapping[str, Any]) -> None:
    """Write `run.json`."""
    write_text_atomic(output / "run.json", json.dumps(record, indent=2, default=str) + "\n")


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """Append one line of JSON to a file.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=path, fix="check the disk and permissions") from error


def read_jsonl(path: Path) -> Iterable[dict[str, Any]]:
    """Yield the rows of a JSONL file; a torn last line is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                return
            yield row


def cut_jsonl(path: Path, length: int) -> None:
    """Cut a file back to `length` bytes: the rows that a saved state knows of."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(length)
