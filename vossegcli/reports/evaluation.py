"""Evaluations as plain data: what `report.json` holds, the official tables, the comparison of two reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vossegcli.scores import AveragePrecision, FewshotScores, Problem, VosScores

Report = dict[str, Any]
Table = tuple[str, Sequence[str], list[dict[str, Any]]]

NOTE = "note"
FAULTS = frozenset({"missing", "misshapen", "unreadable"})


def vos_report(scores: VosScores) -> Report:
    """All numbers of a video object segmentation."""
    per_object = {
        f"{o.sequence}_{o.object_id}": {
            "sequence": o.sequence, "object": o.object_id,
            "J&F-Mean": 0.5 * (o.j_statistics.mean + o.f_statistics.mean),
            **{f"J-{name.capitalize()}": value for name, value in asdict(o.j_statistics).items()},
            **{f"F-{name.capitalize()}": value for name, value in asdict(o.f_statistics).items()},
            **({"V-Mean": o.variability} if scores.protocol == "lvos" else {}),
            "frames": list(o.frames), "J": list(o.j), "F": list(o.f),
        }
        for o in scores.objects
    }  # fmt: skip
    facts = {
        "protocol": scores.protocol,
        "sequences": len({o.sequence for o in scores.objects}),
        "objects": len(scores.objects),
        "frames": scores.frames,
    }
    return _report("vos", facts, scores.numbers, scores.problems) | {"per_object": per_object}


def fewshot_report(scores: FewshotScores) -> Report:
    """All numbers of a few-shot segmentation."""
    details = {name: {"images": scores.images[name], **asdict(areas)} for name, areas in scores.areas.items()}
    names = [*scores.per_class, "(background)"]
    confusion = [[scores.confusion.get((true, found), 0) for found in names] for true in names]
    return _report(
        "fewshot", {"classes": len(details), "images": sum(scores.images.values())}, scores.numbers, scores.problems
    ) | {"per_class": scores.per_class, "areas": details, "confusion": {"classes": names, "pixels": confusion}}


def precision_report(task: str, compared: str, found: AveragePrecision, problems: Iterable[Problem] = ()) -> Report:
    """All numbers of a COCO-like evaluation."""
    facts = {
        "compared by": compared,
        "classes": len(found.per_class),
        "objects": sum(row.count for row in found.per_class),
    }
    repeated = {name for name, count in Counter(row.name for row in found.per_class).items() if count > 1}
    per_class = {
        f"{row.name} ({row.category})" if row.name in repeated else row.name: {
            "category_id": row.category, "objects": row.count, "AP": row.ap, "AP50": row.ap50, "APs": row.ap_small,
            "APm": row.ap_medium, "APl": row.ap_large, "AR": row.ar,
        }
        for row in found.per_class
    }  # fmt: skip
    curves = {"thresholds": found.thresholds, "recalls": found.recalls, "precisions": found.precisions}
    return _report(task, facts, found.numbers, problems) | {"per_class": per_class, "curves": curves}


def _report(task: str, facts: Mapping[str, Any], numbers: Mapping[str, float], problems: Iterable[Problem]) -> Report:
    listed = [asdict(problem) for problem in problems]
    return {"task": task, "facts": dict(facts), "numbers": dict(numbers), "problems": listed}


def summary(report: Report) -> dict[str, Any]:
    """Return what `--json` prints: the official numbers, one level deep, and the numbers of each object or class."""
    per = {key: report[key] for key in ("per_object", "per_class") if key in report}
    if "per_object" in per:
        lists = {"frames", "J", "F"}
        per["per_object"] = {
            name: {k: v for k, v in row.items() if k not in lists} for name, row in per["per_object"].items()
        }
    extra = {"comparison": report["comparison"]} if "comparison" in report else {}
    return {**report["numbers"], **per, "problems": report["problems"], **extra}


def count_faults(report: Report) -> int:
    """Count the predicted masks that are missing, misshapen or unreadable."""
    return sum(problem["kind"] in FAULTS for problem in report["problems"])


def problem_lines(report: Report, most: int, *, notes: bool = True) -> Iterator[str]:
    """The problems, the frames of one kind and sequence together; at most so many, with notes or without."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for problem in report["problems"]:
        if problem["kind"] == NOTE and not notes:
            continue
        groups.setdefault((problem["kind"], problem["sequence"]), []).append(problem)
    for number, ((kind, sequence), group) in enumerate(groups.items()):
        if number == most:
            yield f"... and {len(groups) - most} more (--json and -o list them all)"
            return
        frames = [problem["frame"] for problem in group if problem["frame"] is not None]
        if len(frames) > 1:
            yield f"{kind}: {sequence}: {len(frames)} frames, {frames[0]} to {frames[-1]}: {group[0]['detail']}"
        else:
            name = f"{sequence}/{frames[0]}" if frames else sequence
            yield f"{kind}: {name}: {'; '.join(problem['detail'] for problem in group)}"


def tables(report: Report, subset: str) -> Iterator[Table]:
    """The tables as files: (file name, columns, rows); those of `vos` as the official tools write them.

    Args:
        report: of an evaluation.
        subset: name of the list of sequences, part of the official file names.
    """
    if report["task"] == "vos":
        suffix = "" if report["facts"]["protocol"] == "long-video" else f"-{subset}"
        yield f"global_results{suffix}.csv", tuple(report["numbers"]), [_rounded(report["numbers"])]
        names = ("J-Mean", "F-Mean", "V-Mean") if report["facts"]["protocol"] == "lvos" else ("J-Mean", "F-Mean")
        rows = [
            {"Sequence": name, **_rounded({column: row[column] for column in names})}
            for name, row in report["per_object"].items()
        ]
        yield f"per-sequence_results{suffix}.csv", ("Sequence", *names), rows
        return
    yield "results.csv", tuple(report["numbers"]), [report["numbers"]]
    rows = [
        {"class": name, **(row if isinstance(row, dict) else {"IoU": row})} for name, row in report["per_class"].items()
    ]
    if rows:
        yield "per-class_results.csv", tuple(rows[0]), rows


def _rounded(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{value:.3f}" for name, value in row.items()}


def is_defined(report: Report, value: float) -> bool:
    """Return True for a real number: COCO's evaluations write -1 where there is no ground truth."""
    return value != -1 or report["task"] not in {"instance", "track"}


def compare(report: Report, other: Report) -> dict[str, Any]:
    """The differences of two reports of one task, ours minus the other's, and what else differs between the two."""
    rows = []
    ours, theirs = _rows(report), _rows(other)
    for name in {**ours, **theirs}:
        rows.append({"name": name, **_change(ours.get(name), theirs.get(name))})
    numbers = {
        name: _change(_defined(report, value), _defined(other, other["numbers"].get(name)))
        for name, value in report["numbers"].items()
    }
    differ = [
        f"{fact}: {report['facts'][fact]}, there {other['facts'].get(fact)}"
        for fact in ("protocol", "compared by", "ground truth")
        if fact in report["facts"] and other["facts"].get(fact) != report["facts"][fact]
    ]
    ordered = sorted(rows, key=lambda row: row["delta"] if row["delta"] is not None else 0.0)
    return {"numbers": numbers, "rows": ordered, "differ": differ}


def _change(ours: float | None, theirs: float | None) -> dict[str, float | None]:
    return {"this": ours, "other": theirs, "delta": None if ours is None or theirs is None else ours - theirs}


def _defined(report: Report, value: Any) -> float | None:  # noqa: ANN401 - of a file
    return float(value) if isinstance(value, int | float) and is_defined(report, value) else None


def _rows(report: Report) -> dict[str, float | None]:
    """The main number of each object or class."""
    per: Any = report.get("per_object") or report.get("per_class") or {}
    main = {"vos": "J&F-Mean", "instance": "AP", "track": "AP"}.get(report["task"])
    rows = per.items() if isinstance(per, dict) else ()
    return {
        name: _defined(report, row if main is None else row.get(main) if isinstance(row, dict) else None)
        for name, row in rows
    }
