"""Workers that start at once."""

from collections.abc import Iterator
from multiprocessing.context import BaseContext

import pytest
from torch import multiprocessing

from vossegcli.batch import processes


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch, quick_context: BaseContext) -> Iterator[None]:
    """Fork workers (see `quick_context`).

    Spawned ones, as users have them: `test_processes`, and the tests that start a whole command.
    """
    monkeypatch.setattr(processes, "get_context", lambda _: quick_context)
    sharing = multiprocessing.get_sharing_strategy()
    multiprocessing.set_sharing_strategy("file_system")  # of weights; a file descriptor each would be too many for it
    yield
    multiprocessing.set_sharing_strategy(sharing)
