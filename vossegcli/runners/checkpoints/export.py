"""`vosseg checkpoints export`: networks for other runtimes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import torch

from vossegcli.errors import ConfigError, InputError
from vossegcli.io.records.atomic import atomic_path
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.models.chosen_model import build_network, system_of
from vossegcli.systems import SYSTEMS
from vossegcli.systems.base import Graph


def export_checkpoint(name: str, kind: str, size: tuple[int, int], output: Path) -> list[Path]:
    """Write the graphs of a checkpoint, each to a file named after the output and the graph.

    Args:
        name: checkpoint name or file.
        kind: `onnx` or `torchscript`.
        size: (H,W) of the images that the graphs take.
        output: e.g. `nuclei.onnx`, which gives `nuclei.key.onnx` and `nuclei.reuse.onnx`.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: the system has no graphs, the size does not fit, the output is named like another format, or a
            package is missing.
        InputError: the output is a folder.
    """
    stem = _stem(kind, output)
    checkpoint = read_checkpoint(name)
    system = system_of(checkpoint)
    if system.graphs is None:
        others = ", ".join(other.name for other in SYSTEMS.values() if other.graphs)
        raise ConfigError(f"the system '{system.name}' has nothing to export", fix=f"give a checkpoint of {others}")
    network = build_network(checkpoint, system)
    written = []
    for graph in system.graphs(network, size):
        path = output.with_name(f"{stem}.{graph.name}{output.name.removeprefix(stem) or SUFFIXES_OF[kind][0]}")
        with atomic_path(path) as temporary, torch.no_grad(), _quiet_exporters():
            WRITERS[kind](graph, temporary)
        written.append(path)
    return written


@contextmanager
def _quiet_exporters() -> Iterator[None]:
    """Keep back what the exporters warn and log of their own workings; what they cannot do is an error."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def _stem(kind: str, output: Path) -> str:
    """Return the name of the output without the suffix of its format."""
    if kind not in WRITERS:
        raise ConfigError(f"unknown format '{kind}'", fix=f"use one of {', '.join(WRITERS)}")
    if output.is_dir():
        raise InputError("is a folder", where=output, fix="give the name of a file in it")
    named = next((other for other, suffixes in SUFFIXES_OF.items() if output.suffix.lower() in suffixes), None)
    if named not in (None, kind):
        raise ConfigError(
            f"named like {named}, not {kind}", where=output, fix=f"give --format {named}, or another name"
        )
    return output.stem if named else output.name


def write_onnx(graph: Graph, path: Path) -> None:
    """Write a graph as ONNX.

    Raises:
        ConfigError: a package is missing.
    """
    try:
        import onnxscript  # noqa: F401 - what torch's exporter needs
    except ImportError as error:
        raise ConfigError("the package onnxscript is missing", fix="pip install vosseg[onnx]") from error
    program = torch.onnx.export(
        graph.module, tuple(graph.inputs.values()), input_names=list(graph.inputs), output_names=list(graph.outputs),
        dynamo=True, verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(str(path))


def write_torchscript(graph: Graph, path: Path) -> None:
    """Write a graph as TorchScript.

    Raises:
        OSError: the disk is full, as for any file; PyTorch would end the program if it wrote the file itself.
    """
    content = BytesIO()
    torch.jit.save(torch.jit.trace(graph.module, tuple(graph.inputs.values())), content)
    path.write_bytes(content.getbuffer())


SUFFIXES_OF = {"onnx": (".onnx",), "torchscript": (".pt", ".ts", ".torchscript")}
WRITERS: Mapping[str, Callable[[Graph, Path], None]] = {"onnx": write_onnx, "torchscript": write_torchscript}
