"""`vosseg track`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vossegcli.cli import options as o
from vossegcli.cli.batch_command import CommonOptions
from vossegcli.cli.common_options import with_common_options
from vossegcli.wording import counted

tracks = partial(typer.Option, rich_help_panel="Tracks")


@with_common_options
def track(
    *,
    frames: o.Frames,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Minimum mean score of a track that is drawn and counted; tracks.json keeps the rest"
            " (default: the checkpoint's).",
        ),
    ] = None,
    classes: o.Classes = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            parser=o.path,
            metavar="FILE",
            help="Take the ids of videos and categories from this YouTube-VIS file (default: 1, 2, ...).",
        ),
    ] = None,
    key_every: Annotated[
        int | None,
        tracks(
            min=1,
            help="Look for objects on every n-th frame and follow them on the frames between: faster"
            " (default: the checkpoint's).",
        ),
    ] = None,
    max_gap: Annotated[int, tracks(min=0, help="Frames a track survives unseen.")] = 15,
    divide: Annotated[
        bool,
        tracks(
            "--divide", help="Link divisions: end a track where its object divides, begin two, and name their parent."
        ),
    ] = False,
    save: Annotated[str, o.run(help="Comma list of masks, coco, overlay, video, stack, ctc, report.")] = "masks,coco",
    fps: o.Fps = None,
    common: CommonOptions,
) -> None:
    """Find the instances of a checkpoint's classes in videos and keep their identities (MobileInst)."""
    from vossegcli.runners.track.run import TrackCommand, TrackOptions

    options = TrackOptions(
        frames=frames, annotations=annotations, score_threshold=score_threshold,
        classes=o.comma_list(classes, "--classes"), key_every=key_every, max_gap=max_gap, divide=divide,
        save=o.comma_list(save, "--save"), fps=fps, **common.settings,
    )  # fmt: skip
    common.run(TrackCommand, options, _show)


def _show(record: dict[str, Any]) -> None:
    typer.echo(f"{counted(record['tracks'], 'track[|s]')}: {record['output']}/tracks.csv")
