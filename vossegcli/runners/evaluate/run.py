"""`vosseg evaluate`: scores, the report of them, and its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from vossegcli import __version__
from vossegcli.batch.processes import Processes
from vossegcli.batch.work import Executor
from vossegcli.errors import ConfigError, InputError
from vossegcli.io.masks.mask_trees import find_sequence_list, read_sequence_names
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.json_files import find_run_record, read_report
from vossegcli.io.records.locks import output_lock, tables_lock
from vossegcli.io.records.output_folders import check_owner, clean_output
from vossegcli.io.records.run_records import fingerprint
from vossegcli.io.records.tables import write_csv
from vossegcli.metrics.vos import LEFT_OUT
from vossegcli.reports import evaluation as reports
from vossegcli.reports.evaluation import Report
from vossegcli.reports.evaluation_page import Picture, evaluation_page
from vossegcli.runners.evaluate.fewshot import conclude_fewshot, fewshot_scoring, plan_fewshot
from vossegcli.runners.evaluate.object_rules import PROTOCOLS as OF_META
from vossegcli.runners.evaluate.pairs import Plan, plan_vos
from vossegcli.runners.evaluate.parts import OnDone, Parts, Scoring
from vossegcli.runners.evaluate.pictures import FrameImages, find_images, frame_pictures, worst_frames
from vossegcli.runners.evaluate.precision import EVERYTHING, evaluate_instance, evaluate_track
from vossegcli.runners.evaluate.selection import Selection
from vossegcli.runners.evaluate.sources import Sources, class_sources, instance_sources, video_sources
from vossegcli.runners.evaluate.vos import conclude_vos, vos_scoring
from vossegcli.setting_types import settle_types
from vossegcli.types import Shard

R = TypeVar("R")

PROTOCOLS = (*LEFT_OUT, *OF_META)


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of an evaluation; see `vosseg evaluate --help`.

    Attributes:
        task: `vos`, `fewshot`, `instance` or `track`.
        predictions: folder of masks, or file of results.
        truth: folder of masks, or annotation file.
        output: folder for the report, or None.
        compare: `report.json` of another evaluation, or None.
        protocol: of `vos`.
        subset: name of a list in the data set's `ImageSets`, or a file of names, or None.
        frames: the images behind the masks, for the report's pictures, or None.
        meta: of `vos` by the rules of YouTube-VOS or LVOS: the `meta.json`; None = that of the truth.
        unseen: likewise: what is unseen in training; None = as the data set says.
        ignore_label: of `fewshot`; None = 255 where that is void.
        iou: of `instance`.
        max_dets: of `instance` and `track`.
        shard: of `vos` and `fewshot`: the part to score, or None for all.
        command: the command line, for the record.
        root: where the truth came from, if its masks were converted.
    """

    task: str
    predictions: Path
    truth: Path
    output: Path | None = None
    compare: Path | None = None
    protocol: str = "davis"
    subset: str | None = None
    frames: Path | None = None
    meta: Path | None = None
    unseen: Path | None = None
    ignore_label: int | None = None
    iou: str = "segm"
    max_dets: int = 100
    selection: Selection = EVERYTHING
    shard: Shard | None = None
    command: str = ""
    root: Path | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file.

        Raises:
            ConfigError: an unknown protocol, or another type than the field's.
        """
        settle_types(self)
        if self.protocol not in PROTOCOLS:
            raise ConfigError(f"protocol is '{self.protocol}'", fix=f"use {', '.join(PROTOCOLS)}")


@dataclass(frozen=True)
class Waiting:
    """A shard is scored; there is no report before the others are.

    Attributes:
        missing: indices of the shards that are still to be scored.
    """

    missing: tuple[int, ...]


def evaluate(
    options: EvaluateOptions, on_done: OnDone = lambda done, total: None, executor: Executor | None = None
) -> Report | Waiting:
    """Score predictions and write the report's files, if a folder for them is given.

    Args:
        options: what to evaluate.
        on_done: told (frames or images done, in all).
        executor: has `vos` and `fewshot` scored; None = processes of this machine, one a core.

    Returns:
        the report, as in `report.json`; `Waiting` after a shard which is not the last one.

    Raises:
        InputError: bad predictions, truth or report to compare with.
        ConfigError: a setting out of range.
    """
    other = read_report(options.compare) if options.compare else None
    if other is not None and other["task"] != options.task:
        raise InputError(f"is of the task {other['task']}", where=options.compare, fix=f"give one of {options.task}")
    if options.output is not None:
        check_owner(options.output, f"evaluate {options.task}")
        clean_output(options.output)
    lock: AbstractContextManager[None] = nullcontext()
    if options.shard is not None:
        if options.output is None:
            fix = "give the same -o to all of them"
            raise ConfigError("the parts meet in an output folder", where="--shard", fix=fix)
        lock = output_lock(options.output, options.shard)
    with lock, _sources(options) as found:
        ready = replace(options, predictions=found.predictions, truth=found.truth, root=options.truth)
        facts = _facts(options, _list_file(ready)) | ({"notes": "; ".join(found.notes)} if found.notes else {})
        return _evaluate(ready, facts, other, on_done, executor or Processes())


def _sources(options: EvaluateOptions) -> AbstractContextManager[Sources]:
    """The folders or files to compare, made of what other tools write where that is needed."""
    if options.task == "vos":
        return video_sources(options.predictions, options.truth, options.output)
    if options.task == "fewshot":
        return class_sources(options.predictions, options.truth, options.selection.folder)
    if options.task == "instance":
        return instance_sources(options.predictions, options.truth)
    return nullcontext(Sources(options.predictions, options.truth))


def _evaluate(
    options: EvaluateOptions, facts: dict[str, Any], other: Report | None, on_done: OnDone, executor: Executor
) -> Report | Waiting:
    plan = images = None
    if options.task == "vos":
        plan = _plan(options)
        images = find_images(plan, options.frames)
        frames = _results(options, vos_scoring(plan), on_done, executor)
        if isinstance(frames, Waiting):
            return frames
        report = reports.vos_report(conclude_vos(plan, frames))
    elif options.task == "fewshot":
        episodes = plan_fewshot(
            options.predictions, options.truth, ignore_label=options.ignore_label, images=options.selection.images
        )
        found = _results(options, fewshot_scoring(episodes), on_done, executor)
        if isinstance(found, Waiting):
            return found
        report = reports.fewshot_report(conclude_fewshot(episodes, found))
    elif options.task == "instance":
        scores, problems = evaluate_instance(
            options.predictions, options.truth, iou=options.iou, max_dets=options.max_dets, selection=options.selection
        )
        report = reports.precision_report("instance", options.iou, scores, problems)
    else:
        scores, problems = evaluate_track(
            options.predictions, options.truth, max_dets=options.max_dets, selection=options.selection
        )
        report = reports.precision_report("track", "masklet", scores, problems)
    report["facts"] = facts | report["facts"]
    if other is not None:
        report["comparison"] = {"with": str(options.compare), **reports.compare(report, other)}
    if options.output is not None:
        _write(options, report, plan, images)
    return report


def _results(
    options: EvaluateOptions, scoring: Scoring[Any, R], on_done: OnDone, executor: Executor
) -> list[R] | Waiting:
    """Results of all jobs; with shards, those of this one are kept, and the last one has them all."""
    if options.shard is None or options.output is None:
        return list(scoring.run(executor, on_done).values())
    own = {"command", "compare", "output", "frames", "shard"}
    settings = {name: value for name, value in asdict(options).items() if name not in own}
    files = (path for job in scoring.jobs for path in scoring.files(job))
    key = fingerprint(files, {**settings, "vosseg": __version__})  # of the masks as they are before they are scored
    parts: Parts[R] = Parts(options.output, options.shard.count, key)
    results = scoring.run(executor, on_done, options.shard)
    with tables_lock(options.output):
        parts.keep(options.shard, scoring, results)
        everything, missing = parts.collect(scoring)
        if missing:
            return Waiting(tuple(missing))
        parts.remove()
    return everything


def _plan(options: EvaluateOptions) -> Plan:
    path = _list_file(options)
    subset = None if path is None else read_sequence_names(path)
    return plan_vos(
        options.predictions, options.truth, protocol=options.protocol, subset=subset, root=options.root,
        meta=options.meta, unseen=options.unseen,
    )  # fmt: skip


def _list_file(options: EvaluateOptions) -> Path | None:
    """The list of sequences: a file, or a name in `ImageSets` of the data set (of 2016 for that year's protocol)."""
    if options.subset is None:
        return None
    year = "2016" if options.protocol == "davis2016" else "2017"
    roots = dict.fromkeys((options.root or options.truth, options.truth))  # as given, and unpacked
    file = Path(options.subset)
    path = file if file.is_file() else find_sequence_list(roots, options.subset, year)
    if path is None:
        raise InputError(
            f"no list of sequences '{options.subset}'", where=next(iter(roots)), fix="give a text file of names"
        )
    return path


def _facts(options: EvaluateOptions, subset: Path | None) -> dict[str, Any]:
    """Facts of an evaluation as it was asked for, and the file that lists the sequences that count."""
    return {
        "vosseg": __version__,
        "command": options.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "predictions": str(options.predictions),
        "ground truth": str(options.truth),
        **({} if subset is None else {"list": str(subset)}),
        **_facts_of_run(find_run_record(options.predictions)),
    }


def _facts_of_run(record: dict[str, Any]) -> dict[str, Any]:
    """Facts of the run that made the predictions."""
    if not record:
        return {}
    checkpoint, totals = record["checkpoint"], record.get("totals")
    return {
        "made by": record.get("command"),
        "checkpoint": f"{checkpoint.get('name')} (sha256 {str(checkpoint.get('sha256'))[:12]})",
        "device": f"{record.get('device')}, {record.get('precision')}",
        "frames a second": totals.get("frames_per_second") if isinstance(totals, dict) else None,
    }


def _write(options: EvaluateOptions, report: Report, plan: Plan | None, images: FrameImages | None) -> None:
    assert options.output is not None
    write_text_atomic(options.output / "report.json", json.dumps(report, indent=1))
    for name, columns, rows in reports.tables(report, Path(options.subset).stem if options.subset else "all"):
        write_csv(options.output / name, columns, rows)
    pictures: Sequence[Picture] = ()
    worst: Sequence[Picture] = ()
    if plan is not None and images is not None:
        pictures, worst = frame_pictures(plan, images), worst_frames(plan, report, images)
    write_text_atomic(options.output / "report.html", evaluation_page(report, pictures, worst))
