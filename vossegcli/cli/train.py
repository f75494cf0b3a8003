"""`vosseg train`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from vossegcli.cli import options as o
from vossegcli.cli.tables import error_console
from vossegcli.names import SYSTEM_NAMES

LINE_EVERY_SECONDS = 10.0


def train(
    *,
    system: Annotated[str, typer.Argument(help=f"System to train: {', '.join(SYSTEM_NAMES)}.")],
    data: Annotated[
        list[Path],
        typer.Option(
            parser=o.path,
            help="Annotation file of any tool, folder of them (files of val and test are left out), or folder of images"
            " with masks; repeatable.",
        ),
    ],
    val: Annotated[
        list[Path] | None,
        typer.Option(parser=o.path, help="Images to validate on (default: hold out a part of the data)."),
    ] = None,
    config: Annotated[Path, typer.Option(parser=o.path, help="TOML file with the settings; see docs/train.md.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", parser=o.path, help="Output folder for checkpoint, log and report.")
    ],
    images: o.ImagesFolder = None,
    init: Annotated[
        str,
        typer.Option(
            parser=o.words, metavar="NAME|FILE", help="Start from a checkpoint (name or file), imagenet, or none."
        ),
    ] = "none",
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the state in the output folder.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the data, write samples.jpg, do not train.")
    ] = False,
    device: o.Device = "auto",
    precision: o.Precision = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a system on images with object masks (COCO json)."""
    o.prepare_threads(threads)
    from vossegcli.runners.train import run as runner
    from vossegcli.runners.train.options import TrainOptions

    console = error_console()
    began = last = time.monotonic()

    def show(step: int, total: int, values: Mapping[str, float]) -> None:
        nonlocal last
        now = time.monotonic()
        if quiet or (now - last < LINE_EVERY_SECONDS and step != total):
            return
        last = now
        terms = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if name in {"loss", "j"})
        console.print(f"step {step}/{total}: {terms} ({(now - began) / 60:.1f} min)")

    options = TrainOptions(
        system, tuple(data), config, output, tuple(val or ()), init, resume, dry_run, device, precision, images
    )
    facts = runner.train(options, show, lambda note: None if quiet else console.print(f"note: {note}", markup=False))
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet and not dry_run:
        typer.echo(f"checkpoint: {output / 'model.safetensors'}\nreport: {output / 'report.html'}")
