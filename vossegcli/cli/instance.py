"""`vosseg instance`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.batch_command import CommonOptions
from vossegcli.cli.common_options import with_common_options
from vossegcli.wording import counted

large = partial(typer.Option, rich_help_panel="Large images")


@with_common_options
def instance(
    *,
    images: Annotated[
        str,
        typer.Argument(parser=o.words, help="Image, folder or tree of images, pattern, or COCO file that lists them."),
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
        int | None, typer.Option(min=1, help="Maximum instances per image or tile (default: the checkpoint's).")
    ] = None,
    classes: o.Classes = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            parser=o.path,
            metavar="FILE",
            help="Take the ids of images and categories from this COCO file (default: 1, 2, ...).",
        ),
    ] = None,
    save: Annotated[
        str, o.run(help="Comma list: masks, coco, overlay, cutouts, labelme, cvat, geojson, report.")
    ] = "masks,coco",
    tile: Annotated[int | None, large(min=64, help="Cut larger images into tiles of this side in pixels.")] = None,
    overlap: Annotated[
        int | None, large(min=0, help="Tile overlap in pixels (default: 128, or half of a tile that is not larger).")
    ] = None,
    common: CommonOptions,
) -> None:
    """Find the instances of a checkpoint's classes in images (B2Inst)."""
    if tile is None:
        o.refuse("goes with --tile", overlap=overlap)
    from vossegcli.runners.instance.run import InstanceCommand, InstanceOptions

    options = InstanceOptions(
        images=images, images_folder=images_folder, annotations=annotations, score_threshold=score_threshold,
        top_k=top_k, classes=o.comma_list(classes, "--classes"), tile=tile, overlap=overlap,
        save=o.comma_list(save, "--save"), **common.settings,
    )  # fmt: skip
    common.run(InstanceCommand, options, _show)


def _show(record: dict[str, Any]) -> None:
    typer.echo(f"{counted(record['instances'], 'instance[|s]')}: {record['output']}/instances.csv")
