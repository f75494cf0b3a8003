"""Workers that start at once."""

from collections.abc import Iterator
from multiprocessing import get_all_start_methods, get_context

import pytest
from torch import multiprocessing

from vossegcli.batch import processes


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fork workers from one process that has loaded torch and the commands, which takes a spawned one seconds.

    Spawned ones, as users have them: `test_processes`, and the tests that start a whole command.
    """
    if "forkserver" not in get_all_start_methods():
        yield
        return
    context = get_context("forkserver")
    context.set_forkserver_preload(["vossegcli.api.batches"])
    monkeypatch.setattr(processes, "get_context", lambda _: context)
    sharing = multiprocessing.get_sharing_strategy()
    multiprocessing.set_sharing_strategy("file_system")  # of weights; a file descriptor each would be too many for it
    yield
    multiprocessing.set_sharing_strategy(sharing)
