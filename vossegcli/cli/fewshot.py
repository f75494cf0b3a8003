"""`vosseg fewshot`."""

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

EPISODES = "Episodes"


def fewshot(
    *,
    queries: Annotated[
        str, typer.Argument(help="Image, folder or tree of images, pattern, or video; with --episodes a data set.")
    ],
    support: Annotated[
        Path | None,
        typer.Option(
            help="Annotated images: images/ + masks/; <class>/<n>.jpg + <class>/<n>.png; or such pairs side by side."
        ),
    ] = None,
    shots: Annotated[
        int | None, typer.Option(min=1, help="Supports of each class at most (default: all; of an episode: 1).")
    ] = None,
    boost: Annotated[bool, typer.Option(help="Fit experts to the supports.")] = True,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Leave a class out of images where it is less sure to be there.")
    ] = 0.1,
    episodes: Annotated[
        str | None,
        typer.Option(
            metavar="N|FILE",
            help="Draw N episodes from a data set (class folders, PASCAL VOC, COCO) for `vosseg evaluate fewshot`,"
            " or repeat those of an episodes.json.",
            rich_help_panel=EPISODES,
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=0, max=3, help="Of PASCAL-5i or COCO-20i (default: all classes).", rich_help_panel=EPISODES),
    ] = None,
    split: Annotated[
        o.CocoSplit,
        typer.Option(
            help="Of COCO into folds: every fourth class (FWB, HSNet) or 20 in a row (PANet).",
            rich_help_panel=EPISODES,
        ),
    ] = o.CocoSplit.interleaved,
    listing: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="Lines `<image>__<class id>` as in HSNet's lists of a fold, or names of classes.",
            rich_help_panel=EPISODES,
        ),
    ] = None,
    output: o.Output = None,
    save: Annotated[
        str,
        typer.Option(help="Comma list of masks (always), overlay, probabilities, cutouts.", rich_help_panel=o.RUN),
    ] = "masks",
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
    """Segment the classes of a few annotated images in other images (FWB)."""
    common: dict[str, Any] = {
        "boost": boost, "short_side": o.short_side(size), "checkpoint": checkpoint, "output": output,
        "save": o.comma_list(save), "overwrite": overwrite,
        "device": device, "precision": precision, "seed": seed, "command": shlex.join(["vosseg", *sys.argv[1:]]),
        "shard": o.shard(shard), "oom": oom.value, "max_pixels": max_pixels,
    }  # fmt: skip
    executor = o.executor(workers, engine, address)
    if episodes is not None:
        if support is not None:
            raise typer.BadParameter("episodes draw their supports from the data set", param_hint="--support")
        from vossegcli.runners.fewshot.episodes import EpisodeOptions, fewshot_episodes

        drawn = EpisodeOptions(
            dataset=Path(queries), episodes=int(episodes) if episodes.isdecimal() else Path(episodes),
            shots=shots or 1, fold=fold, split=split.value, listing=listing, **common,
        )  # fmt: skip
        with BatchProgress(quiet=quiet or dry_run, verbose=verbose) as progress:
            record = fewshot_episodes(drawn, progress, dry_run=dry_run, executor=executor)
        show = _show_episodes
    else:
        if support is None:
            raise typer.BadParameter("give the annotated images, or --episodes", param_hint="--support")
        from vossegcli.runners.fewshot import run as runner

        settings = runner.FewshotOptions(
            queries=queries, support=support, shots=shots, min_confidence=min_confidence, **common
        )
        with BatchProgress(quiet=quiet or dry_run, verbose=verbose) as progress:
            record = runner.fewshot(settings, progress, dry_run=dry_run, executor=executor)
        show = _show_summary
    show_and_exit(record, show, as_json=as_json, dry_run=dry_run, quiet=quiet)


def _show_summary(record: dict[str, Any]) -> None:
    show_totals(record)
    ious = ", ".join(f"{name} {iou:.2f}" for name, iou in record["support_iou"].items())
    typer.echo(f"IoU of the supports' own masks: {ious}")
    for row in record["review_first"]:
        typer.echo(f"look at: {row['query']}: {row['class']} (confidence {row['confidence']:.2f})")


def _show_episodes(record: dict[str, Any]) -> None:
    show_totals(record)
    output = record["output"]
    typer.echo(f"score with: {shlex.join(['vosseg', 'evaluate', 'fewshot', output, f'{output}/truth'])}")
