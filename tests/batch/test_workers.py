"""Workers and actors that die, fail and are told to stop; items that do it to them.

Covers: batch.command, batch.ray_cluster, batch.work
"""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.batch.faulty import FULL, SMALLER, run_faulty
from tests.conftest import Told, with_ray
from vossegcli.batch import processes as local
from vossegcli.batch import ray_cluster
from vossegcli.batch.processes import Processes
from vossegcli.batch.ray_cluster import RayCluster
from vossegcli.batch.work import STRIKES, Executor, Here, JobQueue, Progress, Worker
from vossegcli.errors import ConfigError, DeviceError, InputError
from vossegcli.types import Shard


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, quick_workers: None) -> None:  # noqa: ARG001
    """Other processes must find the batch of these tests."""
    root = str(Path(__file__).parents[2])
    monkeypatch.syspath_prepend(root)
    monkeypatch.setenv("PYTHONPATH", root)


def _executor(kind: str) -> Executor:
    return {"here": Here, "workers": lambda: Processes(2), "ray": lambda: RayCluster(2, None)}[kind]()


EVERYWHERE = pytest.mark.parametrize("kind", ["here", "workers", pytest.param("ray", marks=with_ray)])
ELSEWHERE = pytest.mark.parametrize("kind", ["workers", pytest.param("ray", marks=with_ray)])


@EVERYWHERE
def test_bad_items_are_recorded_and_the_others_done(tmp_path: Path, kind: str) -> None:
    told = Told()
    names = ("ok-1", "bad-2", "ok-3", "large-4")
    record = run_faulty(tmp_path, told, *names, executor=_executor(kind), oom="shrink")
    assert record["status"] == "finished"
    assert {name: record["totals"][name] for name in ("done", "skipped", "failed")} == {
        "done": 3, "skipped": 0, "failed": 1,
    }  # fmt: skip
    assert record["failed"] == [
        {"name": "bad-2", "error": "InputError", "reason": "bad-2: is bad. Fix it"}
    ]  # fmt: skip
    assert record["there"] == told.frames == 3
    assert (tmp_path / "masks" / "ok-1.txt").read_text() == f"ok-1 at {FULL}"
    assert (tmp_path / "masks" / "large-4.txt").read_text() == f"large-4 at {SMALLER}"
    notes = {result.name: result.notes for result in told.results}
    assert notes["large-4"] == ("done at a smaller working size: out of memory",)
    again = run_faulty(tmp_path, Told(), *names, executor=_executor(kind), oom="shrink")
    assert again["totals"]["skipped"] == 3


def test_without_shrinking_too_large_is_a_failure(tmp_path: Path) -> None:
    record = run_faulty(tmp_path, Told(), "large-1")
    assert record["failed"][0]["error"] == "OutOfMemoryError"


def test_a_smaller_size_is_tried_for_memory_alone(tmp_path: Path) -> None:
    told = Told()
    record = run_faulty(tmp_path, told, "nan-1", oom="shrink")
    assert [row["error"] for row in record["failed"]] == ["DeviceError"]
    assert told.results[0].notes == (), "not tried again"


@ELSEWHERE
def test_what_a_dead_worker_leaves_is_done_by_another(tmp_path: Path, kind: str) -> None:
    names = ["once-1", "ok-2", "deadly-3", "ok-4", "once-5"]
    told = Told()
    record = run_faulty(tmp_path, told, *names, executor=_executor(kind))
    assert record["totals"]["done"] == 4
    (failed,) = record["failed"]
    assert failed["name"] == "deadly-3"
    assert "its worker died 3 times" in failed["reason"]
    if kind == "workers":
        assert "SIGKILL" in failed["reason"]
    assert sorted(result.name for result in told.results) == sorted(names), "each is told of once"


@ELSEWHERE
def test_what_no_worker_can_begin_with_ends_the_run(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"support\.png: does not fit\. Draw it again") as caught:
        run_faulty(tmp_path, Told(), "ok-1", "unfit", executor=_executor(kind))
    assert caught.value.where == "support.png"
    assert '"status": "failed"' in (tmp_path / "run.json").read_text()


def test_a_stopped_run_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Told):
        def item(self, name: str) -> None:
            super().item(name)
            if name.startswith("slow"):
                raise KeyboardInterrupt

    begun = []
    start = local._Pool._start_one
    monkeypatch.setattr(local._Pool, "_start_one", lambda *args: begun.append(start(*args)) or begun[-1])
    with pytest.raises(KeyboardInterrupt):
        run_faulty(tmp_path, Impatient(), "slow-1", "ok-2", executor=Processes(2))
    assert not (tmp_path / "masks" / "slow-1.txt").exists(), "nobody waited for the slow one"
    assert len(begun) == 2
    assert not any(helper.process.is_alive() for helper in begun)
    assert '"status": "interrupted"' in (tmp_path / "run.json").read_text()


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """A parent that is killed cannot tell them; they notice."""
    code = (
        "from pathlib import Path\n"
        "from tests.conftest import Told\n"
        "from tests.batch.faulty import run_faulty\n"
        "from vossegcli.batch.processes import Processes\n"
        "class Noisy(Told):\n"
        "    def item(self, name):\n"
        f"        (Path({str(tmp_path)!r}) / ('begun' + name)).touch()\n"
        f"if __name__ == '__main__':\n"
        f"    run_faulty(Path({str(tmp_path)!r}) / 'out', Noisy(), 'slow-1', 'slow-2', executor=Processes(2))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, script], start_new_session=True)
    deadline = time.monotonic() + 600
    while len(list(tmp_path.glob("begun*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    both_at_work = len(list(tmp_path.glob("begun*"))) == 2 and len(_group(parent.pid)) > 2
    parent.kill()
    parent.wait()
    while _group(parent.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert both_at_work
    assert not _group(parent.pid)


def _group(number: int) -> list[str]:
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == number and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


class Calm(Worker[str, str]):
    """Answers with the job itself, or with why it was lost."""

    def run(self, jobs: Sequence[str], progress: Progress) -> Iterator[str]:  # noqa: ARG002
        yield from jobs

    def lost(self, job: str, reason: str) -> str:
        return f"{job} by {reason}"


def test_three_strikes() -> None:
    queue = JobQueue(Calm(), ["a", "b", "c"])
    first = queue.take()
    assert first == [(0, "a")], "one at a time"
    assert queue.lost(first, "SIGSEGV") == []
    assert [queue.take()[0][1] for _ in range(3)] == ["a", "b", "c"], "the suspect goes out again, alone"
    assert not queue
    assert queue.lost(first, "SIGSEGV") == []
    assert queue.lost(queue.take(), "SIGSEGV") == ["a by SIGSEGV"]


def test_workers_that_cannot_even_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_serve", _die)
    monkeypatch.setattr(local, "STRIKES", 1)
    with pytest.raises(DeviceError, match="workers die before they begin"):
        run_faulty(tmp_path, Told(), *(f"ok-{n}" for n in range(9)), executor=Processes(2))


class Unloadable(Calm):
    """Kills every actor that it reaches."""

    def share(self, cores: int) -> None:  # noqa: ARG002
        os.kill(os.getpid(), signal.SIGKILL)


@with_ray
def test_a_cluster_that_breaks_every_actor_ends_the_run_early(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    start = ray_cluster._Actors._start_one
    monkeypatch.setattr(ray_cluster._Actors, "_start_one", lambda actors: begun.append(1) or start(actors))
    with pytest.raises(DeviceError, match="actors die before they begin"):
        list(RayCluster(1, None).run(Unloadable(), [str(n) for n in range(50)], Told()))
    assert len(begun) == STRIKES


class Fragile(Calm):
    """Kills the first process that it reaches, before that takes its jobs."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def share(self, cores: int) -> None:  # noqa: ARG002
        if not self.marker.exists():
            self.marker.touch()
            _die()


def test_a_process_that_dies_while_its_jobs_are_on_the_way(tmp_path: Path) -> None:
    """They are larger than what a pipe holds, as those of long sequences are."""
    jobs = [letter * 1_000_000 for letter in "abc"]
    found = Processes(2).run(Fragile(tmp_path / "died"), jobs, Progress())
    assert sorted(found) == jobs
    assert (tmp_path / "died").exists()


def test_processes_that_the_system_does_not_start(monkeypatch: pytest.MonkeyPatch, quick_context: BaseContext) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(quick_context.Process, "start", refuse)
    with pytest.raises(DeviceError, match=r"before they begin \(Resource temporarily unavailable\)"):
        list(Processes(2).run(Calm(), ["a", "b"], Progress()))


class Deaf(Calm):
    """Does not hear that it is to stop."""

    def run(self, jobs: Sequence[str], progress: Progress) -> Iterator[str]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        yield from jobs
        progress.item("deaf")
        time.sleep(600)


def test_processes_that_do_not_stop_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "GRACE_SECONDS", 1.0)
    waited: list[float] = []
    join = BaseProcess.join

    def noted(process: BaseProcess, timeout: float | None = None) -> None:
        waited.extend([] if timeout is None else [timeout])
        join(process, timeout)

    monkeypatch.setattr(BaseProcess, "join", noted)
    with closing(Processes(3).run(Deaf(), ["a", "b", "c"], Progress())) as results:
        assert {next(results), next(results), next(results)} == {"a", "b", "c"}
    assert len(waited) == 3
    assert waited[0] > waited[1] >= waited[2], "what is left of one second, not a second for each"


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_each_worker_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    worker = Calm()
    monkeypatch.setattr(worker, "share", threads.append)
    monkeypatch.setattr(local, "threads", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for worker.device in (None, "cpu", "cuda:1"):
        local._share_machine(worker, 2, 3)
        assert "CUDA_VISIBLE_DEVICES" not in os.environ, "nothing to share, or the user has chosen"
    worker.device = "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    local._share_machine(worker, 1, 3)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert threads == [2, 2, 2, 2]


def test_shards_do_everything_once_and_share_their_tables(tmp_path: Path) -> None:
    names = [f"ok-{n}" for n in range(20)]
    done: list[str] = []
    for index in (1, 2, 3):
        told = Told()
        plan = run_faulty(tmp_path, told, *names, dry_run=True, shard=Shard(index, 3))["plan"]
        planned = {row["name"] for row in plan}
        record = run_faulty(tmp_path, told, *names, shard=Shard(index, 3))
        assert planned == {result.name for result in told.results}
        assert 0 < record["totals"]["done"] < 20
        done += planned
        assert (tmp_path / f"run-{index}-of-3.json").exists()
    assert sorted(done) == sorted(names)
    assert record["there"] == 20, "the last one sees what the others did"


def test_a_shard_depends_on_the_name_alone() -> None:
    shards = [Shard(index, 7) for index in range(1, 8)]
    for name in ("a", "b/c", "naïve", "\udcff"):
        assert sum(shard.holds(name) for shard in shards) == 1
    assert [shard.index for shard in shards if shard.holds("bear")] == [7]


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match=r"vosseg\[ray\]"):
        RayCluster(None, None)


@with_ray
def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no Ray cluster"):
        run_faulty(tmp_path, Told(), "ok-1", executor=RayCluster(1, "127.0.0.1:1"))


def test_a_cluster_that_asks_for_a_token() -> None:
    """Ray 2.60 and later ask where an earlier run has left a token, and tell nobody why they do not connect."""

    def init(**_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster")

    ray = SimpleNamespace(init=init)
    with pytest.raises(DeviceError, match=r"no Ray cluster .*RAY_AUTH_MODE=token"), ray_cluster.connected(ray, "auto"):
        pass
