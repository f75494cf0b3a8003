"""What is still to be done, when those who do it may die."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from vossegcli.batch.batch import Batch, Task
from vossegcli.batch.run import again
from vossegcli.types import ItemResult

STRIKES = 3  # workers that an item may cost


class TaskQueue:
    """Hands tasks out, and takes back what a worker that died has left.

    Args:
        batch: that the tasks belong to.
        tasks: in their order.
    """

    def __init__(self, batch: Batch[Any, Any], tasks: Sequence[Task]) -> None:
        self._batch = batch
        self._waiting = deque(tasks)
        self._alone: deque[Task] = deque()  # under suspicion: each goes out by itself
        self._strikes: Counter[str] = Counter()

    def __bool__(self) -> bool:
        """Whether something is waiting."""
        return bool(self._waiting or self._alone)

    def take(self) -> list[Task]:
        """The next tasks for one worker; none where nothing is waiting."""
        if self._alone:
            return [self._alone.popleft()]
        count = min(self._batch.together, len(self._waiting))
        return [self._waiting.popleft() for _ in range(count)]

    def lost(self, tasks: Sequence[Task], reason: str) -> ItemResult | None:
        """Take back the tasks that a worker had not done when it died; it was busy with the first.

        Args:
            tasks: at least one.
            reason: how it died, e.g. `SIGKILL`.

        Returns:
            how the first task ended, if it has cost too many workers; else it will be done again.
        """
        first, *others = (again(self._batch, task) for task in tasks)
        self._waiting.extendleft(reversed(others))
        name = first.item.name
        self._strikes[name] += 1
        if self._strikes[name] < STRIKES:
            self._alone.append(first)
            return None
        text = f"{name}: its worker died {STRIKES} times, the last time by {reason}. Do it alone to see why"
        return ItemResult(name, "failed", 0, 0.0, text, "DeviceError")
