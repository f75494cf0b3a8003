"""`vosseg propagate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.batch_command import CommonOptions
from vossegcli.cli.common_options import with_common_options
from vossegcli.errors import ConfigError

of_masks = partial(typer.Option, rich_help_panel="Masks")
of_bank = partial(typer.Option, rich_help_panel="Feature bank")


@with_common_options
def propagate(
    *,
    frames: o.Frames,
    mask: Annotated[
        Path | None,
        of_masks(
            parser=o.path,
            metavar="PATH",
            help="Mask file (- = standard input), label stack, folder of masks named like their frames, or folder of "
            "such folders; annotations of labelme, COCO or CVAT, a zip, a .npy, a mask video. "
            "Not needed in DAVIS, YouTube-VOS and Long-Video roots.",
        ),
    ] = None,
    at: Annotated[str | None, of_masks(help="Frame of the mask file: its name or index (default: the first).")] = None,
    objects: Annotated[str | None, of_masks(help="Comma list of ids: follow these objects of the mask alone.")] = None,
    use_masks: Annotated[
        o.MaskUse | None,
        of_masks(
            help="Masks of a folder to use: the first; the first of each object (new); or all, as corrections"
            " (default: first in DAVIS and Long-Video roots, else new)."
        ),
    ] = None,
    direction: Annotated[
        o.Direction | None, of_masks(help="Direction through the video (default: forward; both with --at).")
    ] = None,
    fix_mask: Annotated[
        bool,
        of_masks("--fix-mask", help="Snap anti-aliased mask pixels to flat colours, resize the mask to its frame."),
    ] = False,
    exact_mask: Annotated[
        bool, of_masks("--exact-mask", help="Take every value of a mask as an id, also at soft edges.")
    ] = False,
    save: Annotated[
        str,
        o.run(
            help="Comma list: masks (always), overlay, video, stack, cutouts, matte, prores, probabilities, labelme,"
            " coco, cvat, report."
        ),
    ] = "masks",
    adapt: Annotated[
        int | None,
        o.model(
            min=0,
            help="Training steps on the given masks before each sequence: slower, follows the objects better "
            "(default: the checkpoint's; 0 = none).",
        ),
    ] = None,
    budget: Annotated[
        int | None, of_bank(min=1, help="Maximum entries of the feature bank, all objects together.")
    ] = None,
    update_rate: Annotated[
        float | None, of_bank(min=0.0, max=1.0, help="Weight of a feature that is merged into the bank.")
    ] = None,
    merge_threshold: Annotated[
        float | None, of_bank(min=-1.0, max=1.0, help="Merge features above this cosine.")
    ] = None,
    fps: o.Fps = None,
    common: CommonOptions,
) -> None:
    """Segment a whole video from the mask of one frame (AFB-URR)."""
    from vossegcli.runners.propagate.options import PropagateOptions, given_mask
    from vossegcli.runners.propagate.run import PropagateCommand

    options = PropagateOptions(
        frames=frames, mask=given_mask(mask), at=at, objects=_ids(objects), use_masks=use_masks,
        direction=direction, fix_mask=fix_mask, exact_mask=exact_mask, adapt=adapt, budget=budget,
        update_rate=update_rate, merge_threshold=merge_threshold, save=o.comma_list(save, "--save"), fps=fps,
        **common.settings,
    )  # fmt: skip
    common.run(PropagateCommand, options, _show)


def _ids(text: str | None) -> tuple[int, ...]:
    """The ids of `--objects`.

    Raises:
        ConfigError: a part is not a whole number.
    """
    parts = o.comma_list(text, "--objects")
    for part in parts:
        if not part.isdecimal():
            raise ConfigError(f"--objects: '{part}' is not a number", fix="give numbers with commas between them")
    return tuple(map(int, parts))


def _show(record: dict[str, Any]) -> None:
    if record["review_first"]:
        listed = ", ".join(f"{r['sequence']} frame {r['frame']} object {r['object']}" for r in record["review_first"])
        typer.echo(f"check these first: {listed} (all in {record['output']}/confidence.csv)")
