"""Files that record a run: `run.json`, `run.jsonl`, and one marker per finished item for resuming."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from vossegcli.errors import InputError
from vossegcli.io.records.atomic import sync_files, write_text_atomic
from vossegcli.types import FrameSequence, Shard

STATE_FOLDER = ".vosseg"


def fingerprint(files: Iterable[Path], settings: Mapping[str, Any]) -> str:
    """Hash what a result depends on: each file's name, size and time of change, and the settings.

    Raises:
        InputError: a file has gone.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=_plain).encode())
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=path, fix="check the file") from error
        digest.update(f"\n{path.name}\t{stat.st_size}\t{stat.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _plain(value: object) -> object:
    """Return a value that JSON lacks as one that it has; sets in order, which differs from process to process."""
    return sorted(value) if isinstance(value, frozenset) else str(value)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the flat header alone of what `checkpoints.write_tensors` wrote; empty where it is absent or damaged."""
    try:
        with safe_open(path, framework="np") as file:  # needs no torch
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def sequence_files(sequence: FrameSequence) -> tuple[Path, ...]:
    """The files that a sequence is made of."""
    return sequence.frames if sequence.video is None else (sequence.video,)


def holds_run(folder: Path) -> bool:
    """Say whether a folder is the output of a run; a search in a tree leaves such folders out."""
    return (folder / STATE_FOLDER).is_dir()


def holds_masks_of_run(folder: Path) -> bool:
    """Say whether a folder is the output of a run with masks in it; what else lies there is made of them."""
    return holds_run(folder) and (folder / "masks").is_dir()


class ItemState:
    """The private files of one item, in one tree each below `OUTPUT/.vosseg/items`.

    Attributes:
        marker: says that the item is done.
        rows: what its tables are made of.
        tracks: its masks track by track.
        snapshot: where an interrupted item goes on.
        alpha: folder of the alpha channels of its frames, while it is under way.
        adapted: weights adapted to it, while it is under way.

    Args:
        output: the run's output folder.
        name: POSIX path that names the item.
    """

    def __init__(self, output: Path, name: str) -> None:
        self.output = output
        items = output / STATE_FOLDER / "items"
        self.marker = items / "done" / f"{name}.json"
        self.rows = items / "rows" / f"{name}.jsonl"
        self.tracks = items / "tracks" / f"{name}.jsonl"
        self.snapshot = items / "snapshots" / f"{name}.safetensors"
        self.alpha = items / "alpha" / name
        self.adapted = items / "adapted" / f"{name}.safetensors"

    def plan(self, key: str, device: str = "") -> tuple[str, str | None]:
        """Say what a run with this key does with the item: `skip`, `resume` or `run`, and why.

        Args:
            key: of the run.
            device: kind that it uses; another one that was used before is named.
        """
        marker = self._read_marker()
        if marker is not None and marker.get("key") == key:
            gone = next((path for path in marker["outputs"] if not (self.output / path).is_file()), None)
            done = f"already done{_elsewhere(marker.get('device'), device)}"
            return ("skip", done) if gone is None else ("run", f"{gone} is missing")
        snapshot = read_metadata(self.snapshot)
        if snapshot.get("key") == key:
            return "resume", f"was interrupted{_elsewhere(snapshot.get('device'), device)}"
        return "run", None if marker is None else "input or settings changed"

    def is_done(self, key: str) -> bool:
        """Say whether a run with this key has finished the item."""
        return (self._read_marker() or {}).get("key") == key

    @property
    def was_left_unfinished(self) -> bool:
        """Say whether a run began the item and has not finished it, so that no list names its outputs."""
        return self.rows.exists() and not self.marker.exists()

    def mark_done(self, key: str, outputs: Iterable[Path], device: str = "") -> None:
        """Record that the item is done: key, kind of device, files below the output folder that must exist.

        These files are on the disk before the record is.

        Raises:
            InputError: a file cannot be written.
        """
        outputs = list(outputs)
        sync_files([*outputs, *(path for path in (self.rows, self.tracks) if path.exists())])
        listed = [path.relative_to(self.output).as_posix() for path in outputs]
        write_text_atomic(self.marker, json.dumps({"key": key, "device": device, "outputs": listed}))
        self.snapshot.unlink(missing_ok=True)
        self.adapted.unlink(missing_ok=True)
        for path in self.alpha.glob("*.png"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it is absent, or holds those of a sequence below
            self.alpha.rmdir()

    def clear(self, more: Iterable[Path] = ()) -> None:
        """Remove what an earlier run made of the item, and more files.

        Raises:
            InputError: a file cannot be removed.
        """
        listed = [self.output / name for name in (self._read_marker() or {"outputs": []})["outputs"]]
        private = (self.snapshot, self.adapted, self.rows, self.tracks, self.marker, *self.alpha.glob("*.png"))
        for path in (*listed, *more, *private):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _write_error(path, error) from error

    def _read_marker(self) -> dict[str, Any] | None:
        """Read the marker; one that is damaged, or that lists files elsewhere, counts as absent."""
        try:
            marker = json.loads(self.marker.read_text(encoding="utf-8"))
            listed = [PurePosixPath(name) for name in marker["outputs"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        inside = not any(path.is_absolute() or ".." in path.parts for path in listed)
        return dict(marker) if inside else None


def _elsewhere(before: object, now: str) -> str:
    """Name a device that is not the one of now."""
    return f" on {before}" if before and now and before != now else ""


def record_name(shard: Shard | None, suffix: str) -> str:
    """Name of the record of a run: `run.json`, or `run-2-of-8.json` for a shard."""
    return f"run.{suffix}" if shard is None else f"run-{shard.index}-of-{shard.count}.{suffix}"


def write_run(output: Path, shard: Shard | None, record: Mapping[str, Any]) -> None:
    """Write the record of a run."""
    write_text_atomic(output / record_name(shard, "json"), json.dumps(record, indent=2, default=str) + "\n")


def append_jsonl(path: Path, *rows: Mapping[str, Any]) -> None:
    """Append a line of JSON for each row, in place of a line that was torn (by a kill or a full disk).

    Raises:
        InputError: the file cannot be written.
    """
    text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - 1))
            if file.read() not in {b"", b"\n"}:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            file.write(text.encode())
    except OSError as error:
        raise _write_error(path, error) from error


def read_jsonl(path: Path) -> Iterable[dict[str, Any]]:
    """Yield the rows of a JSONL file up to the first that is torn or damaged."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                return
            yield row


def length_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def cut_jsonl(path: Path, length: int) -> None:
    """Cut a file back to `length` bytes, the rows that a saved state knows of; it is never lengthened.

    Raises:
        InputError: the file cannot be written.
    """
    if length_of(path) > length:
        try:
            with path.open("rb+") as file:
                file.truncate(length)
        except OSError as error:
            raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be written ({error.strerror})", where=path, fix="check the disk and its permissions")
