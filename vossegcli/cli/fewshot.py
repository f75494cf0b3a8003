"""`vosseg fewshot`."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.batch_command import CommonOptions
from vossegcli.cli.common_options import with_common_options

of_episodes = partial(typer.Option, rich_help_panel="Episodes")


@with_common_options
def fewshot(
    *,
    queries: Annotated[
        str,
        typer.Argument(
            parser=o.words, help="Image, folder or tree of images, pattern, or video; with --episodes a data set."
        ),
    ],
    support: Annotated[
        Path | None,
        typer.Option(
            parser=o.path,
            metavar="DIR",
            help="Annotated images: images/ + masks/; <class>/<n>.jpg + <class>/<n>.png; such pairs side by side; or an"
            " annotation file.",
        ),
    ] = None,
    images_folder: o.ImagesFolder = None,
    shots: Annotated[
        int | None, typer.Option(min=1, help="Maximum supports per class (default: all; 1 with --episodes).")
    ] = None,
    boost: Annotated[bool, typer.Option(help="Fit feature experts to the supports.")] = True,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Leave a class out of images where its confidence is lower (default: 0.5)."
        ),
    ] = None,
    episodes: Annotated[
        str | None,
        of_episodes(
            metavar="N|FILE",
            help="Draw N episodes from a data set (class folders, PASCAL VOC, COCO) for `vosseg evaluate fewshot`,"
            " or repeat those of an episodes.json.",
        ),
    ] = None,
    fold: Annotated[
        int | None, of_episodes(min=0, max=3, help="Fold of PASCAL-5i or COCO-20i (default: all classes).")
    ] = None,
    split: Annotated[
        o.CocoSplit | None,
        of_episodes(help="Split of COCO into folds: every fourth class (HSNet; the default) or 20 in a row (PANet)."),
    ] = None,
    listing: Annotated[
        Path | None,
        of_episodes(
            "--list",
            parser=o.path,
            metavar="FILE",
            help="File with lines `<image>__<class id>` as in HSNet's lists, or names of classes.",
        ),
    ] = None,
    save: Annotated[str, o.run(help="Comma list: masks (always), overlay, probabilities, cutouts, report.")] = "masks",
    common: CommonOptions,
) -> None:
    """Segment the classes of a few annotated images in other images (FWB)."""
    settings = {"boost": boost, "images_folder": images_folder, "save": o.comma_list(save, "--save"), **common.settings}
    if episodes is not None:
        o.refuse("episodes draw their supports from the data set", support=support)
        o.refuse("the class of an episode is in its query", **{"min-confidence": min_confidence})
        from vossegcli.runners.fewshot.episodes import EpisodeOptions, EpisodesCommand

        drawn = EpisodeOptions(
            dataset=Path(queries), episodes=int(episodes) if episodes.isdecimal() else o.path(episodes),
            shots=shots or 1, fold=fold, split=split or "interleaved", listing=listing, **settings,
        )  # fmt: skip
        common.run(EpisodesCommand, drawn, _show_episodes)
    o.refuse("goes with --episodes", fold=fold, split=split, list=listing)
    if support is None:
        raise typer.BadParameter("give the annotated images, or --episodes", param_hint="--support")
    from vossegcli.runners.fewshot.run import LEAST_CONFIDENCE, FewshotCommand, FewshotOptions

    options = FewshotOptions(
        queries=queries, support=support, shots=shots,
        min_confidence=LEAST_CONFIDENCE if min_confidence is None else min_confidence, **settings,
    )  # fmt: skip
    common.run(FewshotCommand, options, _show)


def _show(record: dict[str, Any]) -> None:
    ious = ", ".join(f"{name} {iou:.2f}" for name, iou in record["support_iou"].items())
    typer.echo(f"IoU of the supports' own masks: {ious}")
    for row in record["review_first"]:
        typer.echo(f"look at: {row['query']}: {row['class']} (confidence {row['confidence']:.2f})")


def _show_episodes(record: dict[str, Any]) -> None:
    output = record["output"]
    typer.echo(f"score with: {shlex.join(['vosseg', 'evaluate', 'fewshot', output, f'{output}/truth'])}")
