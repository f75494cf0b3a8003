"""Runs the items of a batch one after the other: skip what is done, record what fails, go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from vossegcli.errors import VossegError
from vossegcli.io.run_records import ItemState, append_jsonl, write_run
from vossegcli.types import ItemResult


@dataclass(frozen=True)
class WorkItem:
    """One item of a batch.

    Attributes:
        name: POSIX path; names the outputs.
        frames: number of frames to write.
        key: fingerprint of inputs, settings and checkpoint; empty where there is an error.
        error: why the item cannot be run at all, found while planning.
    """

    name: str
    frames: int
    key: str
    error: VossegError | None = None


class Progress(Protocol):
    """Who is told how the batch goes."""

    def begin(self, items: int, frames: int) -> None:
        """Learn how much there is to do."""

    def item(self, name: str) -> None:
        """Begin an item."""

    def done_before(self, frames: int) -> None:
        """Learn that a run before this one did some of the item's frames."""

    def frame(self) -> None:
        """Count a frame that is done."""

    def result(self, result: ItemResult) -> None:
        """Learn how an item ended."""


Work = Callable[[WorkItem], tuple[int, tuple[str, ...]]]


def plan_batch(items: Sequence[WorkItem], output: Path, facts: dict[str, Any], *, overwrite: bool) -> dict[str, Any]:
    """Say what `run_batch` would do, in a record like its own; writes nothing."""
    failed = [
        {"name": item.name, "error": type(item.error).__name__, "reason": str(item.error)}
        for item in items
        if item.error is not None
    ]
    return {
        **facts,
        "plan": [_plan_row(item, output, overwrite=overwrite) for item in items],
        "failed": failed,
    }


def _plan_row(item: WorkItem, output: Path, *, overwrite: bool) -> dict[str, Any]:
    """Say what a run would do with an item: `run`, `resume`, `skip` or `fail`, and why."""
    action, reason = "run", None
    if item.error is not None:
        action, reason = "fail", str(item.error)
    elif not overwrite:
        action, reason = ItemState(output, item.name).plan(item.key)
    return {"name": item.name, "frames": item.frames, "action": action, "reason": reason}


def pending_items(items: Sequence[WorkItem], output: Path, *, overwrite: bool) -> list[WorkItem]:
    """The items that `run_batch` would work on, in its order."""
    return [i for i in items if _plan_row(i, output, overwrite=overwrite)["action"] in {"run", "resume"}]


def run_batch(
    items: Sequence[WorkItem],
    work: Work,
    output: Path,
    facts: dict[str, Any],
    progress: Progress,
    *,
    overwrite: bool,
    conclude: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Run a batch and return the record that is also written to `run.json`.

    Args:
        items: what to do.
        work: does one item; returns the frames done now and notes. Raises `VossegError` for a bad item.
        output: the output folder.
        facts: version, command, checkpoint, device ... for the record.
        progress: told how it goes.
        overwrite: do finished items again.
        conclude: called at the end, also after an interruption; its values join the record.

    Raises:
        InputError: the output folder cannot be written.
        KeyboardInterrupt: passed on, after the record is written.
    """
    record = {**facts, "started": _now(), "status": "running"}
    began = time.perf_counter()
    results: list[ItemResult] = []
    plan = [_plan_row(item, output, overwrite=overwrite) for item in items]
    write_run(output, record)
    progress.begin(len(items), sum(row["frames"] for row in plan if row["action"] in {"run", "resume"}))
    status = "failed"
    try:
        for item, row in zip(items, plan, strict=True):
            result = _run_item(item, row, work, output, progress)
            results.append(result)
            append_jsonl(output / "run.jsonl", asdict(result))
            progress.result(result)
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        record |= {"status": status, "ended": _now()}
        record["totals"] = _totals(results, time.perf_counter() - began)
        record["failed"] = [
            {"name": r.name, "error": r.error_type, "reason": r.reason} for r in results if r.status == "failed"
        ]
        record |= conclude()
        write_run(output, record)
    return record


def _run_item(item: WorkItem, row: dict[str, Any], work: Work, output: Path, progress: Progress) -> ItemResult:
    if row["action"] == "skip":
        return ItemResult(item.name, "skipped", 0, 0.0, row["reason"])
    progress.item(item.name)
    began = time.perf_counter()
    try:
        if item.error is not None:
            raise item.error
        if row["action"] == "run":
            ItemState(output, item.name).clear()
        frames, notes = work(item)
    except VossegError as error:
        return ItemResult(item.name, "failed", 0, _seconds(began), str(error), type(error).__name__)
    return ItemResult(item.name, "done", frames, _seconds(began), notes=notes)


def _totals(results: Sequence[ItemResult], seconds: float) -> dict[str, Any]:
    count = {status: sum(r.status == status for r in results) for status in ("done", "skipped", "failed")}
    frames = sum(r.frames for r in results)
    busy = sum(r.seconds for r in results if r.status == "done")
    return {
        **count,
        "frames": frames,
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / busy, 3) if busy else None,
        "peak_memory_mib": peak_memory_mib(),
    }


def peak_memory_mib() -> float | None:
    """Largest resident memory of this process so far, in MiB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def _seconds(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
