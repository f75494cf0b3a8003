"""Runs a batch: skip what is done, record what fails, go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from vossegcli.batch.batch import Batch, Executor, Progress, Task, Work, WorkItem
from vossegcli.errors import DeviceError, VossegError
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.records.locks import output_lock, tables_lock
from vossegcli.io.records.run_records import ItemState, append_jsonl, record_name, write_run
from vossegcli.types import ItemResult


class InProcess:
    """Does one task after the other, here."""

    def run(self, batch: Batch[Any, Any], tasks: Sequence[Task], progress: Progress) -> Iterator[ItemResult]:
        """Yield how the tasks end."""
        if not tasks:
            return
        limit_pixels(batch.options.max_pixels)
        with batch.open([task.item for task in tasks], batch.predictor(), progress) as work:
            for task in tasks:
                yield _do(batch, task, work, progress)


def plan_batch(batch: Batch[Any, Any]) -> dict[str, Any]:
    """Say what `run_batch` would do, in a record like its own; writes nothing."""
    items = _own_items(batch)
    failed = [
        {"name": item.name, "error": type(item.error).__name__, "reason": str(item.error)}
        for item in items
        if item.error is not None
    ]
    return {**batch.facts, "plan": [_plan_row(batch, item) for item in items], "failed": failed}


def _own_items(batch: Batch[Any, Any]) -> list[WorkItem]:
    shard = batch.options.shard
    return [item for item in batch.items if shard is None or shard.holds(item.name)]


def _plan_row(batch: Batch[Any, Any], item: WorkItem) -> dict[str, Any]:
    """Say what a run would do with an item: `run`, `resume`, `skip` or `fail`, and why."""
    action, reason = "run", None
    if item.error is not None:
        action, reason = "fail", str(item.error)
    elif not batch.options.overwrite:
        action, reason = ItemState(batch.options.folder, item.name).plan(item.key)
    return {"name": item.name, "frames": item.frames, "action": action, "reason": reason}


def run_batch(batch: Batch[Any, Any], progress: Progress, executor: Executor) -> dict[str, Any]:
    """Run a batch and return the record that is also written to `run.json`, or to that of a shard.

    Args:
        batch: what to do.
        progress: told how it goes.
        executor: has it done.

    Raises:
        CheckpointError: the weights do not fit; nothing is written then.
        InputError: the output folder cannot be written, or another run is at work in it.
        KeyboardInterrupt: passed on, after the record is written.
    """
    _ = batch.model.network
    output, shard = batch.options.folder, batch.options.shard
    items = _own_items(batch)
    record = {**batch.facts, "started": _now(), "status": "running"}
    began = time.perf_counter()
    results: dict[str, ItemResult] = {}
    with output_lock(output, shard):
        plan = [_plan_row(batch, item) for item in items]
        write_run(output, shard, record)
        batch.begin()
        progress.begin(len(items), sum(row["frames"] for row in plan if row["action"] in {"run", "resume"}))
        status = "failed"
        try:
            for result in _results(batch, items, plan, progress, executor):
                results[result.name] = result
                append_jsonl(output / record_name(shard, "jsonl"), asdict(result))
                progress.result(result)
            status = "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            ordered = [results[item.name] for item in items if item.name in results]
            record |= {"status": status, "ended": _now()}
            record["totals"] = _totals(ordered, time.perf_counter() - began)
            record["failed"] = [
                {"name": r.name, "error": r.error_type, "reason": r.reason} for r in ordered if r.status == "failed"
            ]
            with tables_lock(output):
                record |= batch.conclude()
            write_run(output, shard, record)
    return record


def _results(
    batch: Batch[Any, Any], items: Sequence[WorkItem], plan: Sequence[dict[str, Any]], progress: Progress,
    executor: Executor,
) -> Iterator[ItemResult]:  # fmt: skip
    """What needs no work first, then what the executor makes of the rest."""
    tasks = []
    for item, row in zip(items, plan, strict=True):
        if item.error is not None:
            yield _failed(item, item.error, 0.0)
        elif row["action"] == "skip":
            yield ItemResult(item.name, "skipped", 0, 0.0, row["reason"])
        else:
            tasks.append(Task(item, row["action"] == "resume"))
    yield from executor.run(batch, tasks, progress)


def again(batch: Batch[Any, Any], task: Task) -> Task:
    """The task for another try, which goes on from the last snapshot of the first one if there is one."""
    action, _ = ItemState(batch.options.folder, task.item.name).plan(task.item.key)
    return Task(task.item, action == "resume")


def _do(batch: Batch[Any, Any], task: Task, work: Work, progress: Progress) -> ItemResult:
    item = task.item
    progress.item(item.name)
    began = time.perf_counter()
    try:
        if not task.resumed:
            ItemState(batch.options.folder, item.name).clear()
        try:
            frames, notes = work(item)
        except DeviceError as error:
            if batch.options.oom != "shrink":
                raise
            reason = error.what
        else:
            return ItemResult(item.name, "done", frames, _seconds(began), notes=notes)
        frames, notes = _do_smaller(batch, item, progress, reason)  # the error and what it kept in memory are gone
    except VossegError as error:
        return _failed(item, error, _seconds(began))
    return ItemResult(item.name, "done", frames, _seconds(began), notes=notes)


def _do_smaller(batch: Batch[Any, Any], item: WorkItem, progress: Progress, reason: str) -> tuple[int, tuple[str, ...]]:
    """Do an item for which the memory did not suffice once more, at a smaller size."""
    ItemState(batch.options.folder, item.name).clear()
    with batch.open([item], batch.predictor(shrink=True), progress) as work:
        frames, notes = work(item)
    return frames, (*notes, f"done at a smaller working size: {reason}")


def _failed(item: WorkItem, error: VossegError, seconds: float) -> ItemResult:
    return ItemResult(item.name, "failed", 0, seconds, str(error), type(error).__name__)


def _totals(results: Sequence[ItemResult], seconds: float) -> dict[str, Any]:
    count = {status: sum(r.status == status for r in results) for status in ("done", "skipped", "failed")}
    frames = sum(r.frames for r in results)
    busy = sum(r.seconds for r in results if r.status == "done")
    return {
        **count,
        "frames": frames,
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / min(busy, seconds), 3) if busy else None,
        "peak_memory_mib": peak_memory_mib(),
    }


def peak_memory_mib() -> float | None:
    """Largest resident memory of this process or of one of its workers, in MiB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(max(peaks) * unit / 2**20, 1)


def _seconds(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
