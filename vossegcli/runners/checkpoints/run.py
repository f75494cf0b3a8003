"""`vosseg checkpoints`: list, show, verify, import."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vossegcli.errors import CheckpointError, VossegError
from vossegcli.io.weights.checkpoints import (
    CheckpointHeader,
    embedded_folder,
    is_pinned,
    read_checkpoint,
    read_header,
    read_manifest,
    user_folder,
    write_checkpoint,
)
from vossegcli.io.weights.published import read_published
from vossegcli.models.chosen_model import build_network, system_of
from vossegcli.systems import get_system


def list_checkpoints() -> list[dict[str, Any]]:
    """Embedded checkpoints and those of the user's folder; damaged ones are listed as such."""
    rows = [
        _row(entry.name, embedded_folder() / entry.file, entry.system, entry.default_for, "embedded")
        for entry in read_manifest()
    ]
    for path in sorted(user_folder().glob("*.safetensors")):
        try:
            system = read_header(path).system
        except VossegError:
            system = "(unreadable)"
        rows.append(_row(path.stem, path, system, None, str(path.parent)))
    return rows


def _row(name: str, path: Path, system: str, default_for: str | None, where: str) -> dict[str, Any]:
    size = path.stat().st_size if path.is_file() else 0
    return {"name": name, "system": system, "default_for": default_for, "mib": size / 2**20, "where": where}


def show_checkpoint(name: str) -> tuple[dict[str, Any], str | None]:
    """A checkpoint's header and hash, and the text of the model card beside it, if there is one."""
    checkpoint = read_checkpoint(name)
    card = checkpoint.path.with_suffix(".md")
    facts = {"name": checkpoint.name, "sha256": checkpoint.sha256, **asdict(checkpoint.header)}
    return facts, card.read_text(encoding="utf-8") if card.is_file() else None


def verify_checkpoint(name: str) -> dict[str, Any]:
    """Load a checkpoint into its network.

    Raises:
        CheckpointError: its hash, header or a weight is wrong.
    """
    checkpoint = read_checkpoint(name)
    network = build_network(checkpoint, system_of(checkpoint))
    return {
        "sha256": checkpoint.sha256,
        "checked": is_pinned(name) or checkpoint.header.weights_sha256 is not None,
        "tensors": len(checkpoint.tensors),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def import_checkpoint(file: Path, system_name: str, output: Path, *, half: bool) -> dict[str, Any]:
    """Convert published weights.

    Raises:
        CheckpointError: not loadable as data, or a key is missing, unknown or misshapen.
    """
    system = get_system(system_name)
    try:
        imported = system.convert(read_published(file))
    except CheckpointError as error:
        raise CheckpointError(error.what, where=error.where or file, fix=error.fix) from error
    tensors = imported.tensors
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    facts = {"imported_from": file.name, "date": datetime.now(tz=UTC).date().isoformat()}
    header = CheckpointHeader(system.name, imported.config.to_dict(), imported.labels, facts)
    digest = write_checkpoint(output, tensors, header)
    return {"tensors": len(tensors), "dropped": imported.dropped, "fresh": imported.fresh, "sha256": digest}
