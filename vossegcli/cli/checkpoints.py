"""`vosseg checkpoints`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.tables import show_table
from vossegcli.names import SYSTEM_NAMES

app = typer.Typer(no_args_is_help=True, help="List, show, verify, import and export checkpoints.")


Name = Annotated[str, typer.Argument(parser=o.words, help="Name or file of a checkpoint.")]


def height_and_width(text: str) -> tuple[int, int]:
    """Read the two numbers of `512x640`.

    Raises:
        typer.BadParameter: it is something else.
    """
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and 0 < int(part) <= o.LARGEST_SIDE for part in parts):  # noqa: PLR2004
        return int(parts[0]), int(parts[1])
    raise typer.BadParameter(f"'{text}' is not a size like 512x640, of sides from 1 to {o.LARGEST_SIDE}")


@app.command("list")
def list_checkpoints(*, as_json: o.Json = False) -> None:
    """List the checkpoints that ship with vosseg and those in your own folder."""
    from vossegcli.runners.checkpoints import run as runner

    rows = runner.list_checkpoints()
    if as_json:
        typer.echo(json.dumps(rows))
        return
    show_table(
        ("name", "system", "default for", "size", "where"),
        ((r["name"], r["system"], r["default_for"] or "", f"{r['mib']:.1f} MiB", r["where"]) for r in rows),
    )


@app.command("show")
def show(*, name: Name, as_json: o.Json = False) -> None:
    """Show the header and the model card of a checkpoint."""
    from vossegcli.runners.checkpoints import run as runner

    facts, card = runner.show_checkpoint(name)
    typer.echo(json.dumps(facts, indent=None if as_json else 2))
    if card and not as_json:
        typer.echo(f"\n{card}")


@app.command("verify")
def verify(*, name: Name) -> None:
    """Check a checkpoint's hash, header and every weight against its network."""
    from vossegcli.runners.checkpoints import run as runner

    facts = runner.verify_checkpoint(name)
    judged = "good" if facts["checked"] else "readable, but no hash of it is known"
    typer.echo(f"{judged}: {facts['tensors']} tensors, {facts['parameters']:,} parameters, sha256 {facts['sha256']}")


@app.command("import")
def import_checkpoint(
    *,
    file: Annotated[
        Path,
        typer.Argument(parser=o.path, help="Published checkpoint (.pth); it is read as data, no code in it is run."),
    ],
    system: Annotated[str, typer.Option(help=f"System of the file: {', '.join(SYSTEM_NAMES)}.")],
    output: Annotated[Path, typer.Option("-o", "--output", parser=o.path, help="Write this .safetensors file.")],
    half: Annotated[bool, typer.Option("--half", help="Store in half precision.")] = False,
) -> None:
    """Import published weights; every key is mapped or refused by name."""
    from vossegcli.runners.checkpoints import run as runner

    facts = runner.import_checkpoint(file, system, output, half=half)
    typer.echo(f"imported {facts['tensors']} tensors to {output}, sha256 {facts['sha256']}")
    for entry, reason in facts["dropped"].items():
        typer.echo(f"dropped: {entry} ({reason})")
    for entry, reason in facts["fresh"].items():
        typer.echo(f"starts fresh: {entry} ({reason})")


@app.command("export")
def export(
    *,
    name: Name,
    output: Annotated[
        Path, typer.Option("-o", "--output", parser=o.path, help="Write this file; each graph adds its name.")
    ],
    kind: Annotated[str, typer.Option("--format", help="onnx (needs vosseg[onnx]) or torchscript.")] = "onnx",
    size: Annotated[
        Any, typer.Option(parser=height_and_width, metavar="HxW", help="Height x width of the images, e.g. 512x640.")
    ] = "512x512",
) -> None:
    """Export a network as graphs for other runtimes; images go in as RGB from 0 to 1, already resized."""
    from vossegcli.runners.checkpoints import export as runner

    for path in runner.export_checkpoint(name, kind, size, output):
        typer.echo(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
