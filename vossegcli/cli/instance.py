"""`vosseg instance`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.progress import BatchProgress
from vossegcli.cli.tables import show_and_exit, show_totals
from vossegcli.names import MAX_PIXELS

LARGE = "Large images"


def instance(
    *,
    images: Annotated[
        str, typer.Argument(help="Image, folder or tree of images, pattern, or COCO file that lists them.")
    ],
    score_threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Instances below it are neither drawn nor counted; instances.json has them all"
            " (default: the checkpoint's).",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Instances an image at most (default: the checkpoint's).")
    ] = None,
    classes: Annotated[str, typer.Option(help="Comma list of class names (default: all).")] = "",
    annotations: Annotated[
        Path | None,
        typer.Option(help="COCO file whose ids of images and categories the results take (default: 1, 2, ...)."),
    ] = None,
    output: o.Output = None,
    save: Annotated[
        str, typer.Option(help="Comma list of masks, coco, overlay, cutouts.", rich_help_panel=o.RUN)
    ] = "masks,coco",
    tile: Annotated[
        int | None,
        typer.Option(min=64, help="Cut larger images into tiles of this side.", rich_help_panel=LARGE),
    ] = None,
    overlap: Annotated[int, typer.Option(min=0, help="Of the tiles, in pixels.", rich_help_panel=LARGE)] = 128,
    size: o.ShortSide = None,
    checkpoint: o.Checkpoint = None,
    device: o.Device = "auto",
    precision: o.PrecisionOption = o.Precision.auto,
    oom: o.OomOption = o.Oom.fail,
    max_pixels: o.MaxPixels = MAX_PIXELS,
    workers: o.Workers = None,
    shard: o.ShardOption = None,
    engine: o.Engine = o.EngineName.local,
    address: o.Address = None,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Find the instances of a checkpoint's classes in images (B2Inst)."""
    from vossegcli.runners.instance import run as runner

    settings = runner.InstanceOptions(
        images=images, annotations=annotations, score_threshold=score_threshold, top_k=top_k,
        classes=o.comma_list(classes), tile=tile, overlap=overlap, short_side=o.short_side(size), checkpoint=checkpoint,
        output=output, save=o.comma_list(save), overwrite=overwrite, device=device, precision=precision, seed=seed,
        command=shlex.join(["vosseg", *sys.argv[1:]]), shard=o.shard(shard), oom=oom.value, max_pixels=max_pixels,
    )  # fmt: skip
    executor = o.executor(workers, engine, address)
    with BatchProgress(quiet=quiet or dry_run, verbose=verbose) as progress:
        record = runner.instance(settings, progress, dry_run=dry_run, executor=executor)
    show_and_exit(record, _show_summary, as_json=as_json, dry_run=dry_run, quiet=quiet)


def _show_summary(record: dict[str, Any]) -> None:
    show_totals(record)
    typer.echo(f"{record['instances']} instances: {record['output']}/instances.csv")
