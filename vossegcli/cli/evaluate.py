"""`vosseg evaluate`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vossegcli.cli import options as o
from vossegcli.cli.exit_codes import SOME_FAILED
from vossegcli.cli.tables import show_table

if TYPE_CHECKING:
    from vossegcli.batch.work import Executor
    from vossegcli.runners.evaluate.run import EvaluateOptions
    from vossegcli.runners.evaluate.selection import Selection

SHOWN_PROBLEMS = 12
SHOWN_ROWS = 12

app = typer.Typer(no_args_is_help=True, help="Measure masks with the official metrics, and write a report.")


class Protocol(StrEnum):
    """Choices of the frames and objects that count."""

    davis = "davis"
    davis2016 = "davis2016"
    mose = "mose"
    youtube_vos = "youtube-vos"
    lvos = "lvos"
    long_video = "long-video"
    all_frames = "all-frames"


class Iou(StrEnum):
    """Kinds of overlap between instances."""

    segm = "segm"
    bbox = "bbox"
    boundary = "boundary"


Report = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write report.html, report.json and tables into this folder.")
]
Workers = Annotated[int, typer.Option(min=0, help="Number of processes; 0 = one per core.", rich_help_panel=o.SPREAD)]
Compare = Annotated[Path | None, typer.Option(help="Show the differences to this report.json.")]
OneWorker = Annotated[int, typer.Option("--workers", min=0, help="Accepted for scripts; pycocotools uses one process.")]
MapNames = Annotated[
    str, typer.Option("--map", help="Classes of the results as classes of GT: nucleus=Nucleus,cell=nucleus.")
]
Classes = Annotated[str, typer.Option(help="Evaluate only these classes of GT, a comma list (default: all).")]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Text file: evaluate only these images (or videos), one name per line. Folder: where the images of GT lie."
    ),
]
ClassAgnostic = Annotated[bool, typer.Option("--class-agnostic", help="Compare without regard to classes.")]
MaxDets = Annotated[int, typer.Option(help="Maximum results per image (or video) and class.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, nothing else, on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]


@app.command("vos")
def vos(
    *,
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            help="Predicted masks: a folder, or a root of folders; annotations of labelme, COCO, CVAT; a zip, a .npy.",
        ),
    ],
    truth: Annotated[Path, typer.Argument(metavar="GT", help="Ground truth, in the same form.")],
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="Frames and objects that count. davis, mose: without the first and last frame; davis2016: likewise, "
            "all objects as one; long-video: without the first frame; all-frames; youtube-vos, lvos: as meta.json says,"
            " averaged over seen and unseen."
        ),
    ] = Protocol.davis,
    subset: Annotated[
        str | None,
        typer.Option("--set", help="Evaluate only the sequences of a list: its name in ImageSets of GT, or a file."),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Frames for the pictures of the report (default: JPEGImages of GT).")
    ] = None,
    meta: Annotated[
        Path | None, typer.Option(help="meta.json of youtube-vos or lvos (default: the one in or above GT).")
    ] = None,
    unseen: Annotated[
        Path | None,
        typer.Option(
            help="Videos or classes that are unseen in training, one name per line, or meta.json of the training set"
            " (default: unseen_videos.txt of GT for lvos, the classes that YouTube-VOS calls so)."
        ),
    ] = None,
    output: Report = None,
    compare: Compare = None,
    workers: Workers = 0,
    threads: o.Threads = None,
    shard: o.ShardOption = None,
    engine: o.Engine = o.EngineName.local,
    address: o.Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Video object segmentation: J and F, as DAVIS measures them."""
    for option, value in (("--meta", meta), ("--unseen", unseen)):
        if value is not None and protocol not in {Protocol.youtube_vos, Protocol.lvos}:
            raise typer.BadParameter("goes with --protocol youtube-vos or lvos", param_hint=option)
    o.prepare_threads(threads)
    from vossegcli.runners.evaluate.run import EvaluateOptions

    options = EvaluateOptions(
        "vos", predictions, truth, output, compare, protocol=protocol, subset=subset, frames=frames, meta=meta,
        unseen=unseen, shard=o.shard(shard), command=o.command_line(),
    )  # fmt: skip
    _run(options, o.executor(workers or None, engine, address), as_json=as_json, quiet=quiet)


@app.command("fewshot")
def fewshot(
    *,
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PRED", help="Predicted masks: a tree <class>/<image>.png, or label maps with classes.json."
        ),
    ],
    truth: Annotated[Path, typer.Argument(metavar="GT", help="Ground truth, in the same form.")],
    ignore_label: Annotated[
        int | None,
        typer.Option(min=1, help="Ignore this value of GT (default: 255, where masks hold other values too)."),
    ] = None,
    images: Images = None,
    output: Report = None,
    compare: Compare = None,
    workers: Workers = 0,
    threads: o.Threads = None,
    shard: o.ShardOption = None,
    engine: o.Engine = o.EngineName.local,
    address: o.Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Few-shot segmentation: mIoU and FB-IoU, as HSNet measures them."""
    o.prepare_threads(threads)
    from vossegcli.runners.evaluate.run import EvaluateOptions

    options = EvaluateOptions(
        "fewshot", predictions, truth, output, compare, ignore_label=ignore_label,
        selection=_selection("", "", images, class_agnostic=False), shard=o.shard(shard), command=o.command_line(),
    )  # fmt: skip
    _run(options, o.executor(workers or None, engine, address), as_json=as_json, quiet=quiet)


@app.command("instance")
def instance(
    *,
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="COCO results, or folder of label maps.")],
    truth: Annotated[Path, typer.Argument(metavar="GT", help="COCO instances file, or folder of label maps.")],
    iou: Annotated[Iou, typer.Option(help="Compare masks, boxes or boundaries.")] = Iou.segm,
    max_dets: MaxDets = 100,
    names: MapNames = "",
    classes: Classes = "",
    images: Images = None,
    class_agnostic: ClassAgnostic = False,
    output: Report = None,
    compare: Compare = None,
    workers: OneWorker = 0,  # noqa: ARG001 - so that scripts can give it to every task
    threads: o.Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Instances in images: AP, as COCO measures it, and boundary AP."""
    o.prepare_threads(threads)
    from vossegcli.runners.evaluate.run import EvaluateOptions

    options = EvaluateOptions(
        "instance", results, truth, output, compare, iou=iou, max_dets=max_dets,
        selection=_selection(names, classes, images, class_agnostic=class_agnostic), command=o.command_line(),
    )  # fmt: skip
    _run(options, None, as_json=as_json, quiet=quiet)


@app.command("track")
def track(
    *,
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="YouTube-VIS results.")],
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="YouTube-VIS ground truth.")],
    max_dets: MaxDets = 100,
    names: MapNames = "",
    classes: Classes = "",
    images: Images = None,
    class_agnostic: ClassAgnostic = False,
    output: Report = None,
    compare: Compare = None,
    workers: OneWorker = 0,  # noqa: ARG001 - so that scripts can give it to every task
    threads: o.Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Instances in videos: AP, as YouTube-VIS measures it."""
    o.prepare_threads(threads)
    from vossegcli.runners.evaluate.run import EvaluateOptions

    options = EvaluateOptions(
        "track", results, truth, output, compare, max_dets=max_dets,
        selection=_selection(names, classes, images, class_agnostic=class_agnostic), command=o.command_line(),
    )  # fmt: skip
    _run(options, None, as_json=as_json, quiet=quiet)


def _selection(names: str, classes: str, images: Path | None, *, class_agnostic: bool) -> Selection:
    from vossegcli.runners.evaluate.selection import Selection, parse_names, read_image_list

    folder = images if images is not None and images.is_dir() else None
    listed = None if images is None or folder is not None else read_image_list(images)
    return Selection(parse_names(names), o.comma_list(classes), listed, class_agnostic, folder)


def _run(options: EvaluateOptions, executor: Executor | None, *, as_json: bool, quiet: bool) -> None:
    from vossegcli.reports.evaluation import count_faults, problem_lines, summary
    from vossegcli.runners.evaluate.run import Waiting, evaluate

    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    bar = Progress(
        TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
        disable=quiet or not console.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("scoring", total=None)
        report = evaluate(options, lambda done, total: bar.update(task, completed=done, total=total), executor)
    if isinstance(report, Waiting):
        if as_json:
            typer.echo(json.dumps({"missing": report.missing}))
        elif not quiet:
            console.print(f"the report needs the other parts: {', '.join(map(str, report.missing))}")
        return
    for note in filter(None, report["facts"].get("notes", "").split("; ") if not quiet else ()):
        console.print(f"note: {note}", markup=False)
    for line in problem_lines(report, SHOWN_PROBLEMS):
        console.print(line, style="yellow", markup=False)
    if as_json:
        typer.echo(json.dumps(summary(report)))
    elif not quiet:
        _show(report)
        if options.output is not None:
            typer.echo(f"report: {options.output / 'report.html'}")
    raise typer.Exit(SOME_FAILED if count_faults(report) else 0)


def _show(report: dict[str, Any]) -> None:
    from vossegcli.reports.evaluation import is_defined

    numbers = report["numbers"]
    comparison = report.get("comparison")
    if comparison is None:
        row = tuple(_text(value) if is_defined(report, value) else "-" for value in numbers.values())
        show_table(tuple(numbers), [row])
        return
    for line in comparison["differ"]:
        typer.echo(f"differs: {line}", err=True)
    show_table(("number", "this", "other", "difference"), (_change(n, c) for n, c in comparison["numbers"].items()))
    changed = sorted((row for row in comparison["rows"] if row["delta"]), key=lambda row: -abs(row["delta"]))
    if changed:
        typer.echo("")
        rows = (_change(row["name"], row) for row in changed[:SHOWN_ROWS])
        show_table(("largest changes", "this", "other", "difference"), rows)


def _change(name: str, change: dict[str, Any]) -> tuple[str, ...]:
    delta = "-" if change["delta"] is None else f"{change['delta']:+.3f}"
    return name, _text(change["this"]), _text(change["other"]), delta


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
