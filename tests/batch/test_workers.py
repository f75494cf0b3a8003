"""Workers and actors that die, fail and are told to stop; items that do it to them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.batch.faulty import FULL, SMALLER, faulty_batch
from tests.conftest import Told, with_ray
from vossegcli.batch import workers as local
from vossegcli.batch.batch import Executor, Task
from vossegcli.batch.ray_cluster import RayActors
from vossegcli.batch.run import InProcess, plan_batch, run_batch
from vossegcli.batch.task_queue import TaskQueue
from vossegcli.batch.workers import Workers
from vossegcli.errors import ConfigError, DeviceError, InputError
from vossegcli.types import Shard


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes must find the batch of these tests."""
    root = str(Path(__file__).parents[2])
    monkeypatch.syspath_prepend(root)
    monkeypatch.setenv("PYTHONPATH", root)


def _executor(kind: str) -> Executor:
    return {"here": InProcess, "workers": lambda: Workers(2), "ray": lambda: RayActors(2, None)}[kind]()


EVERYWHERE = pytest.mark.parametrize("kind", ["here", "workers", pytest.param("ray", marks=with_ray)])
ELSEWHERE = pytest.mark.parametrize("kind", ["workers", pytest.param("ray", marks=with_ray)])


@EVERYWHERE
def test_bad_items_are_recorded_and_the_others_done(tmp_path: Path, kind: str) -> None:
    told = Told()
    batch = faulty_batch(tmp_path, "ok-1", "bad-2", "ok-3", "large-4", oom="shrink")
    record = run_batch(batch, told, _executor(kind))
    assert record["status"] == "finished"
    assert {name: record["totals"][name] for name in ("done", "skipped", "failed")} == {
        "done": 3, "skipped": 0, "failed": 1,
    }  # fmt: skip
    assert record["failed"] == [
        {"name": "bad-2", "error": "InputError", "reason": "bad-2: is bad. Mend it"}
    ]  # fmt: skip
    assert record["there"] == told.frames == 3
    assert (tmp_path / "masks" / "ok-1.txt").read_text() == f"ok-1 at {FULL}"
    assert (tmp_path / "masks" / "large-4.txt").read_text() == f"large-4 at {SMALLER}"
    notes = {result.name: result.notes for result in told.results}
    assert notes["large-4"] == ("done at a smaller working size: out of memory",)
    again = run_batch(batch, Told(), _executor(kind))
    assert again["totals"]["skipped"] == 3


def test_without_shrinking_too_large_is_a_failure(tmp_path: Path) -> None:
    record = run_batch(faulty_batch(tmp_path, "large-1"), Told(), InProcess())
    assert record["failed"][0]["error"] == "DeviceError"


@ELSEWHERE
def test_what_a_dead_worker_leaves_is_done_by_another(tmp_path: Path, kind: str) -> None:
    names = ["once-1", "ok-2", "deadly-3", "ok-4", "once-5"]
    told = Told()
    record = run_batch(faulty_batch(tmp_path, *names), told, _executor(kind))
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
        run_batch(faulty_batch(tmp_path, "ok-1", "unfit"), Told(), _executor(kind))
    assert caught.value.where == "support.png"
    assert '"status": "failed"' in (tmp_path / "run.json").read_text()


def test_a_stopped_run_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Told):
        def item(self, name: str) -> None:
            super().item(name)
            if name.startswith("slow"):
                raise KeyboardInterrupt

    begun = []
    start = local._start
    monkeypatch.setattr(local, "_start", lambda *args: begun.append(start(*args)) or begun[-1])
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_batch(faulty_batch(tmp_path, "slow-1", "ok-2"), Impatient(), Workers(2))
    assert time.monotonic() - before < 55, "nobody waited for the slow one"
    assert len(begun) == 2
    assert not any(worker.process.is_alive() for worker in begun)
    assert '"status": "interrupted"' in (tmp_path / "run.json").read_text()


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """A parent that is killed cannot tell them; they notice."""
    code = (
        "from pathlib import Path\n"
        "from tests.conftest import Told\n"
        "from tests.batch.faulty import faulty_batch\n"
        "from vossegcli.batch.workers import Workers\n"
        "from vossegcli.batch.run import run_batch\n"
        "class Noisy(Told):\n"
        "    def item(self, name):\n"
        f"        (Path({str(tmp_path)!r}) / ('begun' + name)).touch()\n"
        f"if __name__ == '__main__':\n"
        f"    run_batch(faulty_batch(Path({str(tmp_path)!r}) / 'out', 'slow-1', 'slow-2'), Noisy(), Workers(2))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, script], start_new_session=True)
    deadline = time.monotonic() + 120
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


def test_three_strikes() -> None:
    batch = faulty_batch(Path("nowhere"), "a", "b", "c")
    queue = TaskQueue(batch, [Task(item) for item in batch.items])
    first = queue.take()
    assert [task.item.name for task in first] == ["a"], "one at a time on a CPU"
    assert queue.lost(first, "SIGSEGV") is None
    assert [queue.take()[0].item.name for _ in range(3)] == ["a", "b", "c"], "the suspect goes out again, alone"
    assert not queue
    assert queue.lost(first, "SIGSEGV") is None
    result = queue.lost(queue.take(), "SIGSEGV")
    assert result is not None
    assert result.status == "failed"
    assert "SIGSEGV" in str(result.reason)


def test_workers_that_cannot_even_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_serve", _die)
    with pytest.raises(DeviceError, match="workers die before they begin"):
        run_batch(faulty_batch(tmp_path, *(f"ok-{n}" for n in range(9))), Told(), Workers(2))


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_each_worker_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(local, "cores", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    local._share_machine(2, 3, torch.device("cpu"))
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    local._share_machine(2, 3, torch.device("cuda:1"))
    assert "CUDA_VISIBLE_DEVICES" not in os.environ, "the user has chosen"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    local._share_machine(1, 3, torch.device("cuda"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert threads == [2, 2, 2]


def test_shards_do_everything_once_and_share_their_tables(tmp_path: Path) -> None:
    names = [f"ok-{n}" for n in range(20)]
    done: list[str] = []
    for index in (1, 2, 3):
        told = Told()
        batch = faulty_batch(tmp_path, *names, shard=Shard(index, 3))
        planned = {row["name"] for row in plan_batch(batch)["plan"]}
        record = run_batch(batch, told, InProcess())
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
        RayActors(None, None)


@with_ray
def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no Ray cluster"):
        run_batch(faulty_batch(tmp_path, "ok-1"), Told(), RayActors(1, "127.0.0.1:1"))
