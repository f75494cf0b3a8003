"""Checkpoint files: safetensors with a header, found by name or path, checked by hash.

No pickle is opened here; `published` does that, for the importer alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from vossegcli.errors import CheckpointError
from vossegcli.io.records.atomic import write_bytes_atomic

FORMAT = "vosseg-1"


@dataclass(frozen=True)
class CheckpointHeader:
    """Header of a checkpoint.

    Attributes:
        system: name of the system.
        config: values of its configuration.
        labels: class names, empty where the system knows no classes.
        training: data, steps, seed, date.
        weights_sha256: of the weights when they were written; None in files of older versions.
    """

    system: str
    config: dict[str, Any]
    labels: tuple[str, ...]
    training: dict[str, Any]
    weights_sha256: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's payload.

    Attributes:
        name: as asked for.
        path: the file.
        sha256: hex digest of the file.
        header: what it says of itself.
        tensors: weights by name, as stored (half precision stays half).
    """

    name: str
    path: Path
    sha256: str
    header: CheckpointHeader
    tensors: dict[str, Tensor]

    def __getstate__(self) -> dict[str, Any]:
        """Send the weights to another process as bytes: tensors take a file descriptor each, and shared memory."""
        return {**self.__dict__, "tensors": save(self.tensors)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Receive them."""
        self.__dict__.update(state, tensors=load(state["tensors"]))


@dataclass(frozen=True)
class ManifestEntry:
    """A row of `manifest.json`: a checkpoint that ships with the package."""

    name: str
    file: str
    sha256: str
    system: str
    default_for: str | None


def embedded_folder() -> Path:
    """The folder of the checkpoints that ship with the package (in a source tree: `checkpoints/`)."""
    installed = Path(__file__).parents[2] / "checkpoints"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "checkpoints"


def user_folder() -> Path:
    """`$VOSSEG_HOME/checkpoints`, by default below `~/.cache/vosseg`."""
    home = os.environ.get("VOSSEG_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "vosseg") / "checkpoints"


def read_manifest() -> list[ManifestEntry]:
    """Read the list of embedded checkpoints.

    Raises:
        CheckpointError: it is damaged.
    """
    path = embedded_folder() / "manifest.json"
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["checkpoints"]
        return [ManifestEntry(r["name"], r["file"], r["sha256"], r["system"], r.get("default_for")) for r in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"is damaged ({error!r})", where=path, fix="install the package again") from error


def find_checkpoint(name: str) -> tuple[Path, str | None]:
    """Find a checkpoint by name (embedded ones first, then the user's folder) or by file path.

    Returns:
        The file and the sha256 that it must have (None where no manifest lists it).

    Raises:
        CheckpointError: nothing of that name.
    """
    entries = read_manifest()
    for entry in entries:
        if entry.name == name:
            return embedded_folder() / entry.file, entry.sha256
    for path in (user_folder() / f"{name}.safetensors", Path(name)):
        if path.is_file():
            return path, None
    known = ", ".join(entry.name for entry in entries) or "none is embedded"
    raise CheckpointError(f"no checkpoint '{name}'", fix=f"give a file or a name ({known})")


def default_checkpoint(command: str) -> str:
    """Name of the embedded checkpoint that a command uses by itself.

    Raises:
        CheckpointError: there is none.
    """
    for entry in read_manifest():
        if entry.default_for == command:
            return entry.name
    raise CheckpointError(f"no embedded checkpoint for '{command}'", fix="give one with --checkpoint")


def read_checkpoint(name: str) -> Checkpoint:
    """Read a checkpoint by name or path and verify its hash where one is pinned.

    Raises:
        CheckpointError: unknown, damaged, not ours, or of another hash than the manifest's.
    """
    path, pinned = find_checkpoint(name)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({error.strerror})",
            where=path,
            fix="check the file or install the package again",
        ) from error
    if pinned is not None and digest != pinned:
        raise CheckpointError(f"sha256 is {digest}, not {pinned}", where=path, fix="install the package again")
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"'{key}' holds values that are not finite", where=path, fix="train or copy it again")
    if header.weights_sha256 is not None and header.weights_sha256 != weights_digest(tensors):
        raise CheckpointError(
            "is damaged: its weights are not those that were written", where=path, fix="copy it again"
        )
    return Checkpoint(name, path, digest, header, tensors)


def is_pinned(name: str) -> bool:
    """Say whether the hash of a checkpoint is known beforehand."""
    return find_checkpoint(name)[1] is not None


def read_header(path: Path) -> CheckpointHeader:
    """Read what a checkpoint says of itself, without its weights.

    Raises:
        CheckpointError: not a safetensors file, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"is not a readable safetensors file ({error})",
            where=path,
            fix="published .pth files come in by 'vosseg checkpoints import'",
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError("has no vosseg header", where=path, fix="give a checkpoint made by vosseg")
    try:
        return CheckpointHeader(
            metadata["system"],
            json.loads(metadata["config"]),
            tuple(json.loads(metadata["labels"])),
            json.loads(metadata["training"]),
            metadata.get("weights_sha256"),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"has a damaged header ({error!r})", where=path, fix="train or copy it again") from error


def write_checkpoint(path: Path, tensors: dict[str, Tensor], header: CheckpointHeader) -> str:
    """Write a checkpoint atomically and return its sha256."""
    metadata = {
        "format": FORMAT,
        "system": header.system,
        "config": json.dumps(header.config),
        "labels": json.dumps(header.labels),
        "training": json.dumps(header.training),
        "weights_sha256": weights_digest(tensors),
    }
    write_tensors(path, tensors, metadata)
    return sha256_of(path)


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and values of tensors, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\t{tensor.dtype}\t{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and a flat header as safetensors, atomically; snapshots and training states too."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes_atomic(path, save(plain, metadata=metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_tensors` wrote.

    Raises:
        CheckpointError: not a readable safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"is not a readable safetensors file ({error})", where=path) from error


def read_state(path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Read what `write_tensors` wrote under this `key` of the metadata; None where there is no such file."""
    try:
        tensors, metadata = read_tensors(path)
    except CheckpointError:
        return None
    return (tensors, metadata) if metadata.get("key") == key else None


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
