"""`vosseg instance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.batch_command import CommonOptions, batch_command
from vossegcli.cli.tables import show_totals

LARGE = "Large images"


@batch_command
def instance(
    *,
    images: Annotated[
        str,
        typer.Argument(
            parser=o.words,
            help="Image, folder or tree of images, pattern, or COCO file that lists them.",
        ),
    ],
    images_folder: o.ImagesFolder = None,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Minimum score of what is drawn and counted; instances.json keeps the rest"
            " (default: the checkpoint's).",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Maximum instances per image (default: the checkpoint's).")
    ] = None,
    classes: Annotated[str, typer.Option(help="Comma list of class names (default: all).")] = "",
    annotations: Annotated[
        Path | None,
        typer.Option(
            parser=o.path,
            metavar="FILE",
            help="Take the ids of images and categories from this COCO file (default: 1, 2, ...).",
        ),
    ] = None,
    save: Annotated[
        str,
        typer.Option(
            help="Comma list: masks, coco, overlay, cutouts, labelme, cvat, geojson, report.", rich_help_panel=o.RUN
        ),
    ] = "masks,coco",
    tile: Annotated[
        int | None,
        typer.Option(min=64, help="Cut larger images into tiles of this side in pixels.", rich_help_panel=LARGE),
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, help="Tile overlap in pixels (default: 128).", rich_help_panel=LARGE)
    ] = None,
    common: CommonOptions,
) -> None:
    """Find the instances of a checkpoint's classes in images (B2Inst)."""
    if overlap is not None and tile is None:
        raise typer.BadParameter("goes with --tile", param_hint="--overlap")
    from vossegcli.runners.instance.run import InstanceCommand, InstanceOptions

    options = InstanceOptions(
        images=images, images_folder=images_folder, annotations=annotations, score_threshold=score_threshold,
        top_k=top_k, classes=o.comma_list(classes), tile=tile, overlap=128 if overlap is None else overlap,
        save=o.comma_list(save), **common.settings,
    )  # fmt: skip
    common.run(InstanceCommand, options, _show_summary)


def _show_summary(record: dict[str, Any]) -> None:
    show_totals(record)
    typer.echo(f"{record['instances']} instances: {record['output']}/instances.csv")
