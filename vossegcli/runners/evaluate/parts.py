"""From the jobs of an evaluation to their results: by any executor, and in parts by several runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from vossegcli.batch.freed_memory import keep_freed_memory
from vossegcli.batch.work import STRIKES, Executor, Progress, Worker
from vossegcli.errors import DeviceError
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.json_files import read_record
from vossegcli.io.records.run_records import STATE_FOLDER
from vossegcli.types import Shard

JOBS_TOGETHER = 4  # so that no process waits for its next job

J = TypeVar("J")
R = TypeVar("R")

OnDone = Callable[[int, int], None]


@dataclass(frozen=True)
class Scoring(Generic[J, R]):
    """Jobs of an evaluation, and how they are scored.

    Attributes:
        jobs: in order.
        score: a job to its result; a function at the top of its module.
        item: name of the item that a job belongs to; shards are parts of the items.
        size: how many pictures a job has, for the progress.
        files: what its result depends on.
        pack: a result as something that JSON can hold.
        unpack: and back.
        few: with fewer jobs, other processes do not pay.
    """

    jobs: Sequence[J]
    score: Callable[[J], R]
    item: Callable[[J], str]
    size: Callable[[J], int]
    files: Callable[[J], Sequence[Path]]
    pack: Callable[[R], Any]
    unpack: Callable[[Any], R]
    few: int

    def run(self, executor: Executor, on_done: OnDone, shard: Shard | None = None) -> dict[int, R]:
        """Score all jobs or those of a shard; return results by the number of the job, in order."""
        own = [(k, job) for k, job in enumerate(self.jobs) if shard is None or shard.holds(self.item(job))]
        total = sum(self.size(job) for _, job in own)
        results: dict[int, R] = {}
        done = 0
        for k, result in executor.run(_Scorer(self.score, self.few), own, Progress()):
            results[k] = result
            done += self.size(self.jobs[k])
            on_done(done, total)
        return dict(sorted(results.items()))


class _Scorer(Worker[tuple[int, Any], tuple[int, Any]]):
    """Scores numbered jobs."""

    together = JOBS_TOGETHER

    def __init__(self, score: Callable[[Any], Any], few: int) -> None:
        self._score = score
        self.few = few

    def run(self, jobs: Sequence[tuple[int, Any]], progress: Progress) -> Iterator[tuple[int, Any]]:  # noqa: ARG002
        """Yield the result of each job with its number."""
        keep_freed_memory()
        for number, job in jobs:
            yield number, self._score(job)

    def lost(self, job: tuple[int, Any], reason: str) -> NoReturn:
        """Give up: an evaluation without one of its results is none."""
        what = f"workers die at job {job[0]}, {STRIKES} times, the last time by {reason}"
        raise DeviceError(what, fix="take fewer --workers")


class Parts(Generic[R]):
    """The results of several runs that share an evaluation, in files below the output folder.

    Args:
        output: that all of them are given.
        shards: how many runs there are.
        key: fingerprint of what is evaluated; parts of another evaluation are not used.
    """

    def __init__(self, output: Path, shards: int, key: str) -> None:
        folder = output / STATE_FOLDER
        self._files = {k: folder / f"scores-{k}-of-{shards}.json" for k in range(1, shards + 1)}
        self._key = key

    def keep(self, shard: Shard, scoring: Scoring[Any, R], results: dict[int, R]) -> None:
        """Write the results of a shard."""
        rows = {str(k): scoring.pack(result) for k, result in results.items()}
        write_text_atomic(self._files[shard.index], json.dumps({"key": self._key, "results": rows}))

    def collect(self, scoring: Scoring[Any, R]) -> tuple[list[R], list[int]]:
        """The results in the order of the jobs, and the shards that are still missing (there are no results then)."""
        rows: dict[int, Any] = {}
        missing = []
        for index, path in self._files.items():
            part = read_record(path)
            if part.get("key") != self._key:
                missing.append(index)
            else:
                rows |= {int(k): row for k, row in part["results"].items()}
        if missing:
            return [], missing
        return [scoring.unpack(rows[k]) for k in range(len(scoring.jobs))], []

    def remove(self) -> None:
        """Remove the files; the report has everything."""
        for path in self._files.values():
            path.unlink(missing_ok=True)
