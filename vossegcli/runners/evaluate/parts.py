"""The tasks of an evaluation to their results: by whoever has them done, and in parts by several runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from vossegcli.batch.pool import Scatter
from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.io.records.json_files import read_record
from vossegcli.io.records.run_records import STATE_FOLDER
from vossegcli.types import Shard

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scoring(Generic[T, R]):
    """How tasks are scored.

    Attributes:
        tasks: in order.
        score: a task to its result; a function at the top of its module.
        item: name of the item that a task belongs to; shards are parts of the items.
        size: how many pictures a task has, for the progress.
        files: what its result depends on.
        pack: a result as something that JSON can hold.
        unpack: and back.
        few: with fewer tasks, other processes do not pay.
    """

    tasks: Sequence[T]
    score: Callable[[T], R]
    item: Callable[[T], str]
    size: Callable[[T], int]
    files: Callable[[T], Sequence[Path]]
    pack: Callable[[R], Any]
    unpack: Callable[[Any], R]
    few: int

    def run(self, scatter: Scatter, on_done: Progress, shard: Shard | None = None) -> dict[int, R]:
        """Results by the number of the task, of all tasks or of those in a shard."""
        own = [k for k, task in enumerate(self.tasks) if shard is None or shard.holds(self.item(task))]
        total = sum(self.size(self.tasks[k]) for k in own)
        results: dict[int, R] = {}
        done = 0
        for k, result in zip(own, scatter.map(self.score, [self.tasks[k] for k in own], few=self.few), strict=True):
            results[k] = result
            done += self.size(self.tasks[k])
            on_done(done, total)
        return results


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
        """The results in the order of the tasks, and the shards that are still missing (there are no results then)."""
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
        return [scoring.unpack(rows[k]) for k in range(len(scoring.tasks))], []

    def remove(self) -> None:
        """Remove the files; the report has everything."""
        for path in self._files.values():
            path.unlink(missing_ok=True)
