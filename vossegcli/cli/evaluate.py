"""`vosseg evaluate`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vossegcli.cli import options as o
from vossegcli.cli.common_options import with_common_options
from vossegcli.cli.exit_codes import SOME_FAILED
from vossegcli.cli.tables import error_console, show_table

if TYPE_CHECKING:
    from vossegcli.batch.work import Executor
    from vossegcli.runners.evaluate.selection import Selection

SHOWN_PROBLEMS = 12
SHOWN_ROWS = 12

app = typer.Typer(no_args_is_help=True, help="Measure masks with the official metrics, and write a report.")

Protocol = Literal["davis", "davis2016", "mose", "youtube-vos", "lvos", "long-video", "all-frames"]

Report = Annotated[
    Path | None,
    typer.Option("-o", "--output", parser=o.path, help="Write report.html, report.json and tables into this folder."),
]
Compare = Annotated[Path | None, typer.Option(parser=o.path, help="Show the differences to this report.json.")]
Workers = Annotated[int, o.spread(min=0, help="Number of processes; 0 = one per core.")]
OneWorker = Annotated[int, typer.Option("--workers", min=0, help="Accepted for scripts; pycocotools uses one process.")]
MapNames = Annotated[
    str, typer.Option("--map", help="Classes of the results as classes of GT: nucleus=Nucleus,cell=nucleus.")
]
Classes = Annotated[str | None, typer.Option(help="Evaluate only these classes of GT, a comma list (default: all).")]
Images = Annotated[
    Path | None,
    typer.Option(
        parser=o.path,
        help="Text file: evaluate only these images (or videos), one name per line. Folder: where the images of GT "
        "lie.",
    ),
]
ClassAgnostic = Annotated[bool, typer.Option("--class-agnostic", help="Compare without regard to classes.")]
MaxDets = Annotated[int, typer.Option(help="Maximum results per image (or video) and class.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, nothing else, on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]


@dataclass(frozen=True)
class ScoreOptions:
    """The options that all evaluations have."""

    output: Report = None
    compare: Compare = None
    threads: o.Threads = None
    as_json: Json = False
    quiet: Quiet = False

    def run(self, task: str, predictions: Path, truth: Path, executor: Executor | None = None, **settings: Any) -> None:
        """Evaluate, print what was asked for, and exit with the code of the report.

        Args:
            task: as in `EvaluateOptions`.
            predictions: likewise.
            truth: likewise.
            executor: has the work done; None = no choice.
            settings: the task's own, likewise.
        """
        from vossegcli.reports.evaluation import count_faults, problem_lines, summary
        from vossegcli.runners.evaluate.run import EvaluateOptions, Waiting, evaluate

        options = EvaluateOptions(
            task, predictions, truth, self.output, self.compare, command=o.command_line(), **settings
        )
        console = error_console()
        bar = Progress(
            TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
            disable=self.quiet or not console.is_terminal, transient=True,
        )  # fmt: skip
        with bar:
            shown = bar.add_task("scoring", total=None)
            report = evaluate(options, lambda done, total: bar.update(shown, completed=done, total=total), executor)
        if isinstance(report, Waiting):
            if self.as_json:
                typer.echo(json.dumps({"missing": report.missing}))
            elif not self.quiet:
                console.print(f"the report needs the other parts: {', '.join(map(str, report.missing))}")
            return
        if self.output is None and settings.get("frames") is not None and not self.quiet:
            console.print("note: --frames has no effect without -o: it is for the pictures of the report")
        for note in filter(None, report["facts"].get("notes", "").split("; ") if not self.quiet else ()):
            console.print(f"note: {note}", markup=False)
        for line in problem_lines(report, SHOWN_PROBLEMS, notes=not self.quiet):
            console.print(line, style="yellow", markup=False)
        if self.as_json:
            typer.echo(json.dumps(summary(report)))
        elif not self.quiet:
            _show(report)
            if self.output is not None:
                typer.echo(f"report: {self.output / 'report.html'}")
        raise typer.Exit(SOME_FAILED if count_faults(report) else 0)


@dataclass(frozen=True)
class MaskOptions(ScoreOptions):
    """The options of evaluations of masks, which can be spread."""

    workers: Workers = 0
    shard: o.ShardOption = None
    engine: o.Engine = "local"
    address: o.Address = None

    @property
    def settings(self) -> dict[str, Any]:
        """The part that is scored, and who has it done."""
        return {"shard": self.shard, "executor": o.executor(self.workers or None, self.engine, self.address)}


@dataclass(frozen=True)
class ResultOptions(ScoreOptions):
    """The options of evaluations of instances."""

    max_dets: MaxDets = 100
    names: MapNames = ""
    classes: Classes = None
    images: Images = None
    class_agnostic: ClassAgnostic = False
    workers: OneWorker = 0  # so that scripts can give it to every task

    @property
    def settings(self) -> dict[str, Any]:
        """The results and the part of the truth that count."""
        selection = _selection(self.names, self.classes, self.images, class_agnostic=self.class_agnostic)
        return {"max_dets": self.max_dets, "selection": selection}


@app.command("vos")
@with_common_options
def vos(
    *,
    predictions: Annotated[
        Path,
        typer.Argument(
            parser=o.path,
            metavar="PRED",
            help="Predicted masks: a folder, or a root of folders; annotations of labelme, COCO, CVAT; a zip, a .npy.",
        ),
    ],
    truth: Annotated[Path, typer.Argument(parser=o.path, metavar="GT", help="Ground truth, in the same form.")],
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="Frames and objects that count. davis, mose: without the first and last frame; davis2016: likewise, "
            "all objects as one; long-video: without the first frame; all-frames; youtube-vos, lvos: as meta.json says,"
            " averaged over seen and unseen."
        ),
    ] = "davis",
    subset: Annotated[
        str | None,
        typer.Option(
            "--set",
            parser=o.words,
            help="Evaluate only the sequences of a list: its name in ImageSets of GT, or a file.",
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(parser=o.path, help="Frames for the pictures of the report (default: JPEGImages of GT)."),
    ] = None,
    meta: Annotated[
        Path | None,
        typer.Option(parser=o.path, help="meta.json of youtube-vos or lvos (default: the one in or above GT)."),
    ] = None,
    unseen: Annotated[
        Path | None,
        typer.Option(
            parser=o.path,
            help="Videos or classes that are unseen in training, one name per line, or meta.json of the training set"
            " (default: unseen_videos.txt of GT for lvos, the classes that YouTube-VOS calls so).",
        ),
    ] = None,
    common: MaskOptions,
) -> None:
    """Video object segmentation: J and F, as DAVIS measures them."""
    if protocol not in {"youtube-vos", "lvos"}:
        o.refuse("goes with --protocol youtube-vos or lvos", meta=meta, unseen=unseen)
    common.run(
        "vos", predictions, truth, protocol=protocol, subset=subset, frames=frames, meta=meta, unseen=unseen,
        **common.settings,
    )  # fmt: skip


@app.command("fewshot")
@with_common_options
def fewshot(
    *,
    predictions: Annotated[
        Path,
        typer.Argument(
            parser=o.path,
            metavar="PRED",
            help="Predicted masks: a tree <class>/<image>.png, or label maps with classes.json.",
        ),
    ],
    truth: Annotated[Path, typer.Argument(parser=o.path, metavar="GT", help="Ground truth, in the same form.")],
    ignore_label: Annotated[
        int | None,
        typer.Option(min=1, help="Ignore this value of GT (default: 255, where masks hold other values too)."),
    ] = None,
    images: Images = None,
    common: MaskOptions,
) -> None:
    """Few-shot segmentation: mIoU and FB-IoU, as HSNet measures them."""
    selection = _selection("", None, images, class_agnostic=False)
    common.run("fewshot", predictions, truth, ignore_label=ignore_label, selection=selection, **common.settings)


@app.command("instance")
@with_common_options
def instance(
    *,
    results: Annotated[
        Path, typer.Argument(parser=o.path, metavar="RESULTS", help="COCO results, or folder of label maps.")
    ],
    truth: Annotated[
        Path, typer.Argument(parser=o.path, metavar="GT", help="COCO instances file, or folder of label maps.")
    ],
    iou: Annotated[
        Literal["segm", "bbox", "boundary"], typer.Option(help="Compare masks, boxes or boundaries.")
    ] = "segm",
    common: ResultOptions,
) -> None:
    """Instances in images: AP, as COCO measures it, and boundary AP."""
    common.run("instance", results, truth, iou=iou, **common.settings)


@app.command("track")
@with_common_options
def track(
    *,
    results: Annotated[Path, typer.Argument(parser=o.path, metavar="RESULTS.json", help="YouTube-VIS results.")],
    truth: Annotated[Path, typer.Argument(parser=o.path, metavar="GT.json", help="YouTube-VIS ground truth.")],
    common: ResultOptions,
) -> None:
    """Instances in videos: AP, as YouTube-VIS measures it."""
    common.run("track", results, truth, **common.settings)


def _selection(names: str, classes: str | None, images: Path | None, *, class_agnostic: bool) -> Selection:
    from vossegcli.runners.evaluate.selection import Selection, parse_names, read_image_list

    folder = images if images is not None and images.is_dir() else None
    listed = None if images is None or folder is not None else read_image_list(images)
    return Selection(parse_names(names), o.comma_list(classes, "--classes"), listed, class_agnostic, folder)


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
