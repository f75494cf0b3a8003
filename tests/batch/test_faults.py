"""What happens to a run when the machine fails it: full disk, vanished folders, a second run on the same output.

Covers: io.records.locks, runners.propagate.options
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.batch.faulty import FaultyCommand, run_faulty
from tests.conftest import VOSSEG, Clip, Outcome, Told, draw_mask, draw_video, files_below, finish, start
from vossegcli.batch import run
from vossegcli.batch.command import Done, Item
from vossegcli.errors import InputError
from vossegcli.io.records.locks import output_lock
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate
from vossegcli.types import ItemResult, Shard

Vosseg = Callable[..., Outcome]
RECORDS = ("run.json", "run.jsonl", "lock", "tables.lock")


@pytest.fixture
def options(tmp_path: Path, checkpoint: Path) -> PropagateOptions:
    """Three sequences of five frames."""
    for name in "abc":
        draw_video(tmp_path / "root" / name, 5, suffix=".png")
        draw_mask(tmp_path / "given" / name / "00000.png")
    return PropagateOptions(
        frames=tmp_path / "root", mask=tmp_path / "given", output=tmp_path / "out", checkpoint=str(checkpoint),
        device="cpu", precision="fp32", save=("masks", "overlay"),
    )  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets no file system be mounted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class After(Told):
    """Does something when the first item is done."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__()
        self.deed: Callable[[], object] | None = deed

    def result(self, result: ItemResult) -> None:
        super().result(result)
        if self.deed is not None:
            self.deed()
            self.deed = None


def test_a_full_disk_and_what_comes_after(options: PropagateOptions, small_disk: Path, tmp_path: Path) -> None:
    propagate(replace(options, output=tmp_path / "enough"), Told())
    full = replace(options, output=small_disk / "out")
    with pytest.raises(InputError, match="No space left on device") as caught:
        propagate(full, Told())
    assert str(caught.value.where).startswith(str(small_disk))
    assert not [name for name in files_below(small_disk) if Path(name).name.startswith(".vosseg-")]
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    propagate(full, Told())
    assert files_below(small_disk / "out", but=RECORDS) == files_below(tmp_path / "enough", but=RECORDS)


def test_a_write_that_finds_no_space(options: PropagateOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where no file system can be mounted: the second sequence finds the disk full."""
    write_bytes = Path.write_bytes

    def scarce(path: Path, data: bytes) -> int:
        if path.parent.name == "b" and "masks" in path.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", scarce)
    monkeypatch.setattr(
        Path, "open", _refusing(Path.open, lambda path: path.parent.name == "b" and "masks" in path.parts)
    )
    record = propagate(options, Told())
    assert [(row["name"], "No space left" in row["reason"]) for row in record["failed"]] == [("b", True)]
    monkeypatch.undo()
    assert propagate(options, Told())["totals"] | {"seconds": 0} == {
        **record["totals"], "done": 1, "skipped": 2, "failed": 0, "frames": 5, "seconds": 0,
        "frames_per_second": pytest.approx(record["totals"]["frames_per_second"], rel=99),
        "peak_memory_mib": pytest.approx(record["totals"]["peak_memory_mib"], rel=99),
    }  # fmt: skip


def _refusing(call: Callable[..., object], when: Callable[[Path], bool]) -> Callable[..., object]:
    def refused(path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if when(path) and mode not in {"r", "rb"}:
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(path, mode, *args, **kwargs)

    return refused


def test_input_that_vanishes_while_running(options: PropagateOptions, tmp_path: Path) -> None:
    told = After(lambda: shutil.rmtree(tmp_path / "root" / "b"))
    record = propagate(options, told)
    assert record["totals"]["done"] == 2
    assert [row["name"] for row in record["failed"]] == ["b"]
    assert "does not exist" in record["failed"][0]["reason"]


@pytest.mark.parametrize(
    ("command", "save"),
    [("propagate", "masks,overlay"), ("track", "masks,coco"), ("instance", "masks,coco,cvat"), ("fewshot", "masks")],
)
def test_input_that_vanishes_before_the_tables_are_written(
    vosseg: Vosseg, options: PropagateOptions, tiny_tracker: Path, few_shot_checkpoint: Path, tmp_path: Path,
    command: str, save: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    draw_video(tmp_path / "support" / "square", 1, suffix=".jpg")
    draw_mask(tmp_path / "support" / "square" / "00000.png", ids=(1,))
    more: list[object] = {
        "propagate": ["--mask", tmp_path / "given", "--checkpoint", options.checkpoint],
        "track": ["--checkpoint", tiny_tracker, "--divide"],
        "instance": ["--checkpoint", tiny_tracker],
        "fewshot": ["--support", tmp_path / "support", "--checkpoint", few_shot_checkpoint],
    }[command]  # type: ignore[assignment]
    words = [command, tmp_path / "root", *more, "--save", f"{save},report", "--device", "cpu", "--json"]
    words += ["-o", tmp_path / "out"]
    assert vosseg(*words).code == 0
    before = files_below(tmp_path / "out", but=(*RECORDS, "report.html"))
    monkeypatch.setattr(run, "tables_lock", _after(lambda: shutil.rmtree(tmp_path / "root"), run.tables_lock))
    outcome = vosseg(*words)  # a run of finished items goes straight to the tables
    assert outcome.code == 0, outcome.stderr
    record = outcome.json()
    assert (record["totals"]["skipped"] > 0, record["failed"]) == (True, [])
    assert files_below(tmp_path / "out", but=(*RECORDS, "report.html")) == before
    assert "data:image/jpeg" in (tmp_path / "out" / "report.html").read_text()


def _after(deed: Callable[[], object], call: Callable[..., object]) -> Callable[..., object]:
    def delayed(*args: object) -> object:
        deed()
        return call(*args)

    return delayed


def test_tables_that_cannot_be_written_leave_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise InputError("cannot be written", where="table.csv", fix="free space")

    monkeypatch.setattr(FaultyCommand, "write_tables", refuse)
    with pytest.raises(InputError, match=r"table\.csv"):
        run_faulty(tmp_path / "out", Told(), "ok-1", "bad-2")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["status"], record["totals"]["done"], len(record["failed"])) == ("failed", 1, 1)
    assert record["error"].startswith("table.csv: cannot be written")


@pytest.mark.parametrize("method", ["write_index", "write_tables"])
def test_a_run_that_breaks_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(FaultyCommand, method, refuse)
    with pytest.raises(OSError, match="Input/output"):
        run_faulty(tmp_path / "out", Told(), "ok-1")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"


def test_an_item_that_the_disk_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_item = FaultyCommand.run

    def stale(command: FaultyCommand, item: Item, *more: Any, **other: Any) -> Done:
        if item.name == "ok-1":
            raise OSError(errno.ESTALE, "Stale file handle", "frames/00000.png")
        return run_item(command, item, *more, **other)

    monkeypatch.setattr(FaultyCommand, "run", stale)
    record = run_faulty(tmp_path / "out", Told(), "ok-1", "ok-2")
    assert record["totals"]["done"] == 1, "the next one may be luckier"
    (failed,) = record["failed"]
    assert (failed["name"], failed["error"]) == ("ok-1", "InputError")
    assert failed["reason"].startswith("frames/00000.png: cannot be read or written (Stale file handle)")


def test_an_item_that_cannot_be_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = FaultyCommand.plan

    def refused(command: FaultyCommand, source: Any) -> Any:
        if source.name == "ok-1":
            raise PermissionError(errno.EACCES, "Permission denied", "frames/00000.png")
        return plan(command, source)

    monkeypatch.setattr(FaultyCommand, "plan", refused)
    record = run_faulty(tmp_path / "out", Told(), "ok-1", "ok-2")
    assert record["totals"]["done"] == 1
    assert record["failed"][0]["reason"].startswith("frames/00000.png: cannot be read or written (Permission denied)")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    assert run_faulty(tmp_path / "out", Told(), "ok-1")["totals"]["done"] == 1


def test_an_output_folder_that_vanishes_while_running(options: PropagateOptions, tmp_path: Path) -> None:
    told = After(lambda: shutil.rmtree(tmp_path / "out"))
    propagate(options, told)
    assert (tmp_path / "out" / "run.json").exists()
    record = propagate(options, Told())
    assert record["totals"]["done"] == 1, "what was removed is done again"
    assert (record["totals"]["skipped"] > 0, record["failed"]) == (True, [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_cannot_be_written(options: PropagateOptions, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        propagate(options, Told())


def test_an_output_folder_that_is_a_file(options: PropagateOptions, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match=r"out: cannot be written"):
        propagate(options, Told())
    assert (tmp_path / "out").read_text() == "mine"


def test_two_runs_on_one_output(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    words = ["propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out"]
    with output_lock(tmp_path / "out", None):
        outcome = vosseg(*words)
        assert outcome.code == 3
        assert f"is in use by another run (process {os.getpid()} on " in outcome.stderr
        assert vosseg(*words, "--shard", "1/2").code == 3, "a shard works only beside other shards"
        assert not (tmp_path / "out" / "run.json").exists()
    with output_lock(tmp_path / "out", Shard(1, 2)):
        assert vosseg(*words).code == 3
        assert vosseg(*words, "--shard", "1/2").code == 3
        assert vosseg(*words, "--shard", "2/2").code == 0
    assert vosseg(*words).code == 0


def test_the_owner_of_a_lock_is_not_one_that_has_ended(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    words = ["propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out"]
    with output_lock(tmp_path / "out", None):
        pass
    assert f"process {os.getpid()} on " in (tmp_path / "out" / ".vosseg" / "lock").read_text()
    with output_lock(tmp_path / "out", Shard(1, 2)):
        outcome = vosseg(*words)
        assert outcome.code == 3
        assert "is in use by another run, of a shard. Wait" in outcome.stderr
        outcome = vosseg(*words, "--shard", "1/2")
        assert f"is in use by another run (process {os.getpid()} on " in outcome.stderr


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/", "a/b", "1/0"])
def test_shards_that_there_are_not(vosseg: Vosseg, clip: Clip, tmp_path: Path, shard: str) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out", "--shard", shard)
    assert outcome.code == 2
    assert "is not a part like 2/8" in outcome.stderr


def test_terminated_with_workers(vosseg: Vosseg, checkpoint: Path, tmp_path: Path) -> None:
    """SIGTERM to a run with workers: all of them end, nothing is half written, and the same command goes on."""
    for name in "ab":
        for index, frame in enumerate(draw_video(tmp_path / "root" / name, 10, suffix=".png")):
            for copy in range(1, 4):  # long enough to be stopped
                os.link(
                    tmp_path / "root" / name / f"{frame}.png", tmp_path / "root" / name / f"{10 * copy + index:05d}.png"
                )
        draw_mask(tmp_path / "given" / name / "00000.png")
    out = tmp_path / "out"
    words = [
        "propagate", tmp_path / "root", "--mask", tmp_path / "given", "--checkpoint", checkpoint, "--device", "cpu",
        "--precision", "fp32", "-o",
    ]  # fmt: skip
    process = start([VOSSEG, *words, out, "--workers", "2", "--json"])
    deadline = time.monotonic() + 300
    while len(list(out.glob("masks/*/00003.png"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    outcome = finish(process)
    assert outcome.code == 143, outcome.stderr
    assert outcome.stdout == ""
    assert "interrupted" in outcome.stderr.splitlines()[-1]
    assert "Traceback" not in outcome.stderr
    assert '"status": "interrupted"' in (out / "run.json").read_text()
    assert not [name for name in files_below(out) if Path(name).name.startswith(".vosseg-")]
    assert vosseg(*words, out).code == 0
    assert vosseg(*words, tmp_path / "alone").code == 0
    assert files_below(out, but=RECORDS) == files_below(tmp_path / "alone", but=RECORDS)
