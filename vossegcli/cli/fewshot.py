"""`vosseg fewshot`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.exit_codes import code_of_record
from vossegcli.cli.progress import BatchProgress
from vossegcli.cli.tables import show_plan, show_totals

LARGEST_SIDE = 1 << 14


def fewshot(
    *,
    queries: Annotated[str, typer.Argument(help="Image, folder or tree of images, pattern, or video.")],
    support: Annotated[
        Path,
        typer.Option(
            help="Annotated images: images/ + masks/; <class>/<n>.jpg + <class>/<n>.png; or such pairs side by side."
        ),
    ],
    shots: Annotated[int | None, typer.Option(min=1, help="Supports of each class at most (default: all).")] = None,
    boost: Annotated[bool, typer.Option(help="Fit experts to the supports.")] = True,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Leave a class out of images where it is less sure to be there.")
    ] = 0.0,
    output: o.Output = None,
    save: Annotated[
        str,
        typer.Option(help="Comma list of masks (always), overlay, probabilities, cutouts.", rich_help_panel=o.RUN),
    ] = "masks",
    size: Annotated[
        str,
        typer.Option(help="Short side at which the network works at most, or native.", rich_help_panel=o.MODEL),
    ] = "512",
    checkpoint: o.Checkpoint = None,
    device: o.Device = "auto",
    precision: o.PrecisionOption = o.Precision.auto,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Segment the classes of a few annotated images in other images (FWB)."""
    from vossegcli.runners import fewshot as runner

    settings = runner.FewshotOptions(
        queries=queries, support=support, shots=shots, boost=boost, min_confidence=min_confidence,
        short_side=_short_side(size), checkpoint=checkpoint, output=output,
        save=tuple(part.strip() for part in save.split(",") if part.strip()), overwrite=overwrite, device=device,
        precision=precision, seed=seed, command=shlex.join(["vosseg", *sys.argv[1:]]),
    )  # fmt: skip
    with BatchProgress(quiet=quiet or dry_run, verbose=verbose) as progress:
        record = runner.fewshot(settings, progress, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(record, default=str))
    elif dry_run:
        show_plan(record)
    elif not quiet:
        _show_summary(record)
    raise typer.Exit(code_of_record(record))


def _short_side(size: str) -> int | None:
    if size == "native":
        return None
    if size.isdecimal() and 0 < int(size) <= LARGEST_SIDE:
        return int(size)
    raise typer.BadParameter(f"'{size}' is neither a number of pixels nor native", param_hint="--size")


def _show_summary(record: dict[str, Any]) -> None:
    show_totals(record)
    ious = ", ".join(f"{name} {iou:.2f}" for name, iou in record["support_iou"].items())
    typer.echo(f"IoU of the supports' own masks: {ious}")
    for row in record["review_first"]:
        typer.echo(f"look at: {row['query']}: {row['class']} (confidence {row['confidence']:.2f})")
