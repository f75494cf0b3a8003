"""Every exit code, and what is said with it.

Covers: errors, models.devices
"""

import errno
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import VOSSEG, Clip, Outcome, draw_mask, draw_video, files_below, finish, start
from vossegcli.cli.exit_codes import BUG, CODES, code_of, code_of_record
from vossegcli.errors import InputError, VossegError
from vossegcli.runners.propagate import run as runner

Vosseg = Callable[..., Outcome]


def _lines(outcome: Outcome) -> list[str]:
    return outcome.stderr.strip().splitlines()


def test_0_all_done(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "1 done" in outcome.stdout


def test_1_a_bug_keeps_its_traceback(
    vosseg: Vosseg, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("somewhere deep")

    monkeypatch.setattr(runner, "segment_sequence", broken)
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 1
    assert "Traceback" in outcome.stderr
    assert "ZeroDivisionError: somewhere deep" in outcome.stderr
    assert '"status": "failed"' in (tmp_path / "out" / "run.json").read_text()


def test_3_what_the_system_refuses_is_no_bug(
    vosseg: Vosseg, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "clip/secret")

    monkeypatch.setattr(runner, "find_sequences", refuse)
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert _lines(outcome)[0].startswith("error: clip/secret: cannot be read or written (Permission denied). Check")


@pytest.mark.parametrize(
    "words",
    [["propagate"], ["propagate", "x", "--no-such-option"], ["nonsense"], ["propagate", "x", "--size", "0"]],
)
def test_2_wrong_usage(vosseg: Vosseg, words: list[str]) -> None:
    assert vosseg(*words, "--checkpoint", "x").code == 2


def test_2_of_a_pattern_that_the_shell_expanded_one_file_is_shown(vosseg: Vosseg) -> None:
    outcome = vosseg("instance", *(f"{number:05}.jpg" for number in range(900)))
    assert outcome.code == 2
    said = " ".join(outcome.stderr.replace("│", " ").split())
    assert "unexpected argument: 00001.jpg and others. Put a pattern in quotes, as in 'frames/*.png'" in said
    assert "00002.jpg" not in said


def test_3_bad_input(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    outcome = vosseg("propagate", tmp_path / "absent", "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert _lines(outcome) == [f"error: {tmp_path / 'absent'}: does not exist. Check the path"]
    assert not (tmp_path / "out").exists()


def test_3_for_the_only_sequence_is_not_7(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    outcome = vosseg("propagate", clip.frames, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert _lines(outcome) == ["failed: clip: no mask is given. Give one with --mask"]


def test_4_bad_checkpoint(vosseg: Vosseg, clip: Clip) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "--checkpoint", "nothing-like-it")
    assert outcome.code == 4
    assert len(_lines(outcome)) == 1
    assert "no checkpoint 'nothing-like-it'" in outcome.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--save", "masks,holograms"],
        ["--device", "toaster"],
        ["--device", "cpu", "--precision", "fp16"],
        ["--seed", "-1"],
        ["--seed", str(1 << 32)],
    ],  # fmt: skip
)
def test_5_bad_configuration(vosseg: Vosseg, clip: Clip, checkpoint: Path, words: list[str]) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "--checkpoint", checkpoint, *words)
    assert outcome.code == 5
    assert len(_lines(outcome)) == 1


@pytest.mark.parametrize("device", ["cuda:63", "cuda:128", "cuda:256"])  # of the last two, torch makes -128 and 0
def test_6_absent_device(vosseg: Vosseg, clip: Clip, checkpoint: Path, device: str) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "--checkpoint", checkpoint, "--device", device)
    assert outcome.code == 6
    assert f"device '{device}' is not available" in outcome.stderr
    assert "Use --device" in outcome.stderr


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.\nTried ...")])
def test_6_out_of_memory(
    vosseg: Vosseg, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(runner, "segment_sequence", greedy)
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 6
    assert "failed: clip: out of memory" in outcome.stderr
    assert len(_lines(outcome)) == 1


def test_6_address_space_limit() -> None:
    """PyTorch alone maps more than 3 GB when it is loaded."""
    words = ["propagate", "absent", "--mask", "absent.png"]
    outcome = finish(start(["bash", "-c", 'ulimit -v 1000000; exec "$@"', "bash", VOSSEG, *words]))
    assert outcome.code == 6
    assert _lines(outcome)[-1].startswith("error: out of memory: the address space is limited to 976 MiB (")
    assert _lines(outcome)[-1].endswith("Raise the limit, as by `ulimit -v unlimited`: PyTorch alone maps some GiB")
    assert "bug" not in outcome.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_6_memory_that_cannot_be_had_anywhere(
    vosseg: Vosseg, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Here while the sequences are looked for; what a reader makes of it is not what is said."""

    def greedy(*_: object, **__: object) -> None:
        raise InputError("is damaged", where="a.tif", fix="replace it") from error

    monkeypatch.setattr(runner, "find_sequences", greedy)
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 6
    assert len(_lines(outcome)) == 1
    assert _lines(outcome)[0].startswith("error: a.tif: out of memory")
    assert "Close other programs, or use a smaller --size or fewer --workers" in outcome.stderr


def test_7_some_failed(vosseg: Vosseg, tmp_path: Path) -> None:
    for name in ("good", "bad"):
        draw_video(tmp_path / "root" / name, 2)
    draw_mask(tmp_path / "masks" / "good" / "00000.png")
    outcome = vosseg("propagate", tmp_path / "root", "--mask", tmp_path / "masks", "-o", tmp_path / "out")
    assert outcome.code == 7
    assert "1 done · 1 failed" in outcome.stdout
    assert "failed: bad: " in outcome.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_130_interrupted(checkpoint: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """`tests.batch.test_faults` sends SIGTERM."""
    for index, name in enumerate(draw_video(tmp_path / "clip", 50, suffix=".png")):  # long enough to be stopped
        for copy in range(1, 40):
            os.link(tmp_path / "clip" / f"{name}.png", tmp_path / "clip" / f"{50 * copy + index:05d}.png")
    draw_mask(tmp_path / "mask.png")
    out = tmp_path / "out"
    words = [VOSSEG, "propagate", tmp_path / "clip", "--mask", tmp_path / "mask.png", "-o", out]
    process = start([*words, "--checkpoint", checkpoint, "--device", "cpu", "--json"])
    deadline = time.monotonic() + 300
    while not (out / "masks" / "clip" / "00003.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == code, outcome.stderr
    assert outcome.stdout == ""
    assert "interrupted" in _lines(outcome)[-1]
    assert "Traceback" not in outcome.stderr
    assert '"status": "interrupted"' in (out / "run.json").read_text()
    assert not [name for name in files_below(out) if Path(name).name.startswith(".vosseg-")]


def test_codes_of_a_batch() -> None:
    failed = [{"name": "a", "error": "DeviceError", "reason": ""}]

    def record(failures: list[dict[str, str]], done: int) -> dict[str, object]:
        return {"failed": failures, "totals": {"done": done, "skipped": 0, "failed": len(failures)}}

    assert code_of_record(record([], 3)) == 0
    assert code_of_record(record(failed, 0)) == 6
    assert code_of_record(record(failed, 1)) == 7
    assert code_of_record({"failed": failed, "plan": failed}) == 6
    assert code_of_record(record([{"name": "a", "error": "ZeroDivisionError", "reason": ""}], 0)) == BUG


def test_every_error_type_has_a_code() -> None:
    assert {kind: code_of(kind("x")) for kind in VossegError.__subclasses__()} == CODES
    assert sorted(CODES.values()) == [3, 4, 5, 6]


def test_debug_shows_the_traceback_of_a_typed_error(vosseg: Vosseg, tmp_path: Path, checkpoint: Path) -> None:
    outcome = vosseg("--debug", "propagate", tmp_path / "absent", "--checkpoint", checkpoint)
    assert outcome.code == 3
    assert "Traceback" in outcome.stderr


def test_a_path_is_shown_as_it_is(vosseg: Vosseg, tmp_path: Path, checkpoint: Path) -> None:
    strange = tmp_path / "[bold]x[/bold] :warning:"
    outcome = vosseg("propagate", strange, "--checkpoint", checkpoint)
    assert str(strange) in outcome.stderr


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_3_output_without_permission(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", locked / "out")
    assert outcome.code == 3
    assert "cannot be written" in outcome.stderr


def test_3_output_below_a_file(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "file" / "out")
    assert outcome.code == 3
    assert len(_lines(outcome)) == 1
    assert "cannot be written" in outcome.stderr
