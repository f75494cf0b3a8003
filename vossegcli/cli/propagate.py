"""`vosseg propagate`."""

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

MASKS = "Masks"
BANK = "Feature bank"


def propagate(
    *,
    frames: Annotated[Path, typer.Argument(help="Folder of frames, video file, or root of sequences.")],
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Mask file, folder of masks named like their frames, or folder of such folders. "
            "Not needed in DAVIS, YouTube-VOS and Long-Video roots.",
            rich_help_panel=MASKS,
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Name or index of the frame of a mask file.", rich_help_panel=MASKS)
    ] = None,
    use_masks: Annotated[
        o.MaskUse | None,
        typer.Option(
            help="Of a folder of masks: the first alone; each object's first; or all, as corrections"
            " (default: first in DAVIS and Long-Video roots, else new).",
            rich_help_panel=MASKS,
        ),
    ] = None,
    direction: Annotated[
        o.Direction | None,
        typer.Option(help="Way through the video (default: forward; both with --at).", rich_help_panel=MASKS),
    ] = None,
    fix_mask: Annotated[
        bool,
        typer.Option("--fix-mask", help="Snap anti-aliased pixels, resize to the frame.", rich_help_panel=MASKS),
    ] = False,
    output: o.Output = None,
    save: Annotated[
        str,
        typer.Option(help="Comma list of masks (always), overlay, video, probabilities.", rich_help_panel=o.RUN),
    ] = "masks",
    size: Annotated[
        o.WorkingSize,
        typer.Option(
            help="Short side at which the network works at most; masks come out at the frame's size.",
            rich_help_panel=o.MODEL,
        ),
    ] = o.WorkingSize.small,
    adapt: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Steps of training on the given masks before each sequence: slower, and it follows those very objects "
            "better (default: the checkpoint's; 0 = none).",
            rich_help_panel=o.MODEL,
        ),
    ] = None,
    checkpoint: o.Checkpoint = None,
    device: o.Device = "auto",
    precision: o.PrecisionOption = o.Precision.auto,
    oom: o.OomOption = o.Oom.fail,
    max_pixels: o.MaxPixels = MAX_PIXELS,
    workers: o.Workers = None,
    shard: o.ShardOption = None,
    engine: o.Engine = o.EngineName.local,
    address: o.Address = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Entries of all objects.", rich_help_panel=BANK)] = None,
    update_rate: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Weight of a merged feature.", rich_help_panel=BANK)
    ] = None,
    merge_threshold: Annotated[
        float | None,
        typer.Option(min=-1.0, max=1.0, help="Cosine above which to merge.", rich_help_panel=BANK),
    ] = None,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Segment a whole video from the mask of one frame (AFB-URR)."""
    from vossegcli.runners.propagate import run as runner
    from vossegcli.runners.propagate.options import PropagateOptions

    settings = PropagateOptions(
        frames=frames, mask=mask, at=at, use_masks=use_masks, direction=direction,
        short_side=0 if size is o.WorkingSize.native else int(size), checkpoint=checkpoint, budget=budget,
        update_rate=update_rate, merge_threshold=merge_threshold, adapt=adapt, output=output,
        save=o.comma_list(save), overwrite=overwrite,
        fix_mask=fix_mask, device=device, precision=precision, seed=seed,
        command=shlex.join(["vosseg", *sys.argv[1:]]), shard=o.shard(shard), oom=oom.value, max_pixels=max_pixels,
    )  # fmt: skip
    executor = o.executor(workers, engine, address)
    with BatchProgress(quiet=quiet or dry_run, verbose=verbose) as progress:
        record = runner.propagate(settings, progress, dry_run=dry_run, executor=executor)
    show_and_exit(record, _show_summary, as_json=as_json, dry_run=dry_run, quiet=quiet)


def _show_summary(record: dict[str, Any]) -> None:
    show_totals(record)
    if record["review_first"]:
        listed = ", ".join(f"{r['sequence']} frame {r['frame']} object {r['object']}" for r in record["review_first"])
        typer.echo(f"look at these first: {listed} (all in {record['output']}/confidence.csv)")
