"""`vosseg track`."""

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

TRACKS = "Tracks"


def track(
    *,
    frames: Annotated[Path, typer.Argument(help="Folder of frames, video file, or root of sequences.")],
    score_threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Tracks below it are neither drawn nor counted; tracks.json has them all (default: the checkpoint's).",
        ),
    ] = None,
    classes: Annotated[str, typer.Option(help="Comma list of class names (default: all).")] = "",
    annotations: Annotated[
        Path | None,
        typer.Option(help="YouTube-VIS file whose ids of videos and categories the results take (default: 1, 2, ...)."),
    ] = None,
    key_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Look for instances on every n-th frame and find the same ones on the frames between,"
            " which is faster (default: the checkpoint's).",
            rich_help_panel=TRACKS,
        ),
    ] = None,
    max_gap: Annotated[
        int,
        typer.Option(min=0, help="Frames after which an identity that is not seen has ended.", rich_help_panel=TRACKS),
    ] = 15,
    output: o.Output = None,
    save: Annotated[
        str, typer.Option(help="Comma list of masks, coco, overlay, video.", rich_help_panel=o.RUN)
    ] = "masks,coco",
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
    """Find the instances of a checkpoint's classes in videos and keep their identities (MobileInst)."""
    from vossegcli.runners.track import run as runner

    settings = runner.TrackOptions(
        frames=frames, annotations=annotations, score_threshold=score_threshold, classes=o.comma_list(classes),
        key_every=key_every, max_gap=max_gap, short_side=o.short_side(size), checkpoint=checkpoint, output=output,
        save=o.comma_list(save), overwrite=overwrite, device=device, precision=precision, seed=seed,
        command=shlex.join(["vosseg", *sys.argv[1:]]), shard=o.shard(shard), oom=oom.value, max_pixels=max_pixels,
    )  # fmt: skip
    executor = o.executor(workers, engine, address)
    with BatchProgress(quiet=quiet or dry_run, verbose=verbose) as progress:
        record = runner.track(settings, progress, dry_run=dry_run, executor=executor)
    show_and_exit(record, _show_summary, as_json=as_json, dry_run=dry_run, quiet=quiet)


def _show_summary(record: dict[str, Any]) -> None:
    show_totals(record)
    typer.echo(f"{record['tracks']} tracks: {record['output']}/tracks.csv")
