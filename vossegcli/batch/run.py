"""One way through every command for batches: find, check, choose the model, plan, run, record."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vossegcli import __version__
from vossegcli.batch.command import BatchCommand, Item, ItemT, OptionsT, PredictorT, SourceT
from vossegcli.batch.items import Attempt, ItemWorker, failed
from vossegcli.batch.options import REPORT
from vossegcli.batch.report import PAGE, write_report
from vossegcli.batch.work import Executor, Here, RunProgress
from vossegcli.errors import VossegError, system_error
from vossegcli.io.media.images import limit_pixels
from vossegcli.io.records.atomic import clean_tree
from vossegcli.io.records.locks import output_lock, tables_lock
from vossegcli.io.records.run_records import append_jsonl, record_name, write_run
from vossegcli.models.chosen_model import choose_model
from vossegcli.types import ItemResult

Record = dict[str, Any]

SILENT = RunProgress()


def run_command(
    kind: type[BatchCommand[OptionsT, SourceT, ItemT, PredictorT]],
    options: OptionsT,
    progress: RunProgress = SILENT,
    *,
    dry_run: bool = False,
    executor: Executor | None = None,
) -> Record:
    """Run a command for batches and return the record that is also written to `run.json`, or to that of a shard.

    Args:
        kind: the task's part of it.
        options: what to do.
        progress: told how it goes.
        dry_run: only say what would be done; nothing is written.
        executor: has the items done; None = in this process.

    Raises:
        InputError: the input as a whole cannot be used, the output folder cannot be written, or another run is at work
            in it.
        CheckpointError: the checkpoint cannot be used; nothing is written then.
        ConfigError: a setting cannot be used.
        DeviceError: the device is absent or out of memory.
        KeyboardInterrupt: passed on, after the record is written.
    """
    limit_pixels(options.max_pixels)
    if dry_run and options.scratch is None:
        with TemporaryDirectory(prefix="vosseg-") as folder:
            return run_command(kind, replace(options, scratch=Path(folder)), progress, dry_run=True, executor=executor)
    inputs = kind.find(options)
    options.check_output()
    model = choose_model(options.COMMAND, options.checkpoint, options.device, options.precision)
    command = kind.prepare(options, model, inputs)
    planned = [_plan(command, source) for source in inputs]
    items = [item for item in planned if isinstance(item, Item)]
    facts = {
        "version": __version__, "task": options.COMMAND, "results": options.results, "command": options.command,
        "input": str(options.source.resolve()), "output": str(options.folder), "seed": options.seed,
        **command.facts(items), **model.facts,
        **({"images_folder": str(options.images_folder.resolve())} if options.images_folder else {}),
        "range": options.value_range or "content", "notes": [*command.input_notes, *options.idle(command.films)],
    }  # fmt: skip
    own = [item for item in planned if options.shard is None or options.shard.holds(item.name)]
    if dry_run:
        failed_ones = (item for item in own if isinstance(item, ItemResult))
        return {**facts, "plan": [_plan_row(command, item) for item in own], "failed": _failures(failed_ones)}
    _ = model.network  # weights that do not fit are refused before anything is written
    with output_lock(options.folder, options.shard):
        return _Run(command, items, own, facts, progress).run(executor or Here())


def _plan(command: BatchCommand[OptionsT, SourceT, ItemT, PredictorT], source: SourceT) -> ItemT | ItemResult:
    """Make the item of something that was found; the failure of one that cannot be done at all."""
    try:
        return command.plan(source)
    except VossegError as error:
        return failed(source.name, error, 0.0)
    except OSError as error:
        return failed(source.name, system_error(error, source.name), 0.0)


def _plan_row(command: BatchCommand[Any, Any, Any, Any], item: Item | ItemResult) -> Record:
    """Say what a run would do with an item: `run`, `resume`, `skip` or `fail`, and why."""
    if isinstance(item, ItemResult):
        action, reason = "fail", item.reason
    elif command.options.overwrite:
        action, reason = "run", None
    else:
        action, reason = item.state.plan(item.key, command.model.device.type)
    return {"name": item.name, "frames": item.frames, "action": action, "reason": reason, "notes": list(item.notes)}


class _Run:
    """A run that has begun, and its record.

    Args:
        command: what to do.
        items: of the whole input.
        own: the items of this shard, with those that cannot be used.
        facts: what the record begins with.
        progress: told how it goes.
    """

    def __init__(
        self,
        command: BatchCommand[Any, Any, Any, Any],
        items: Sequence[Item],
        own: Sequence[Item | ItemResult],
        facts: Record,
        progress: RunProgress,
    ) -> None:
        self._command, self._items, self._own, self._progress = command, items, own, progress
        self._output, self._shard = command.options.folder, command.options.shard
        self._record = {**facts, "started": _now(), "status": "running"}
        self._began = time.perf_counter()
        self._results: dict[str, ItemResult] = {}

    def run(self, executor: Executor) -> Record:
        """Do what is to be done, and keep the record up to date."""
        clean_tree(self._output)
        plan = {item.name: _plan_row(self._command, item) for item in self._own}
        write_run(self._output, self._shard, self._record)
        frames = sum(row["frames"] for row in plan.values() if row["action"] in {"run", "resume"})
        status = "failed"
        try:
            self._command.write_index(self._items)
            self._progress.begin(len(plan), frames)
            for result in self._do(plan, executor):
                self._results[result.name] = result
                append_jsonl(self._output / record_name(self._shard, "jsonl"), asdict(result))
                self._progress.result(result)
            status = "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            self._conclude(status)
        return self._record

    def _do(self, plan: dict[str, Record], executor: Executor) -> Iterator[ItemResult]:
        """Give what needs no work first, then what the executor makes of the rest."""
        jobs = []
        for item in self._own:
            row = plan[item.name]
            if isinstance(item, ItemResult):
                yield item
            elif row["action"] == "skip":
                yield ItemResult(item.name, "skipped", 0, 0.0, row["reason"])
            else:
                jobs.append(Attempt(item, row["action"] == "resume", row["reason"] or ""))
        yield from executor.run(ItemWorker(self._command), jobs, self._progress)

    def _conclude(self, status: str) -> None:
        """Write the tables of all items that are done, and the record."""
        ordered = [self._results[item.name] for item in self._own if item.name in self._results]
        self._record |= {"status": status, "ended": _now()}
        self._record["totals"] = _totals(ordered, time.perf_counter() - self._began)
        self._record["failed"] = _failures(ordered)
        with tables_lock(self._output):
            done = [item for item in self._items if item.state.is_done(item.key)]
            try:
                tables = self._command.write_tables(done)
                notes = [*self._record["notes"], *tables.get("notes", ())]
                self._record |= {**tables, "notes": notes}
            except Exception as error:
                self._record |= {"status": "failed", "error": str(error)}
                raise
            finally:
                write_run(self._output, self._shard, self._record)
            if REPORT in self._command.options.save:
                write_report(self._output)
            else:
                (self._output / PAGE).unlink(missing_ok=True)  # it would show an earlier run


def _failures(results: Iterable[ItemResult]) -> list[Record]:
    return [{"name": r.name, "error": r.error_type, "reason": r.reason} for r in results if r.status == "failed"]


def _totals(results: Sequence[ItemResult], seconds: float) -> Record:
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


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
