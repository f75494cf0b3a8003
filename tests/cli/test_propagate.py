"""`vosseg propagate` as its users meet it: what is printed where, what is refused, what a process does.

Covers: io.results.overlay_video
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.conftest import (
    HEIGHT,
    VOSSEG,
    WIDTH,
    Clip,
    Outcome,
    draw_mask,
    draw_video,
    files_below,
    finish,
    read_ids,
    squares,
    start,
)
from vossegcli.batch.run import peak_memory_mib

Vosseg = Callable[..., Outcome]


def test_json_is_the_only_thing_on_stdout(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out", "--json")
    assert outcome.code == 0
    assert outcome.stdout.count("\n") == 1
    assert outcome.json() == json.loads((tmp_path / "out" / "run.json").read_text())
    assert "done: clip" in outcome.stderr


def test_json_of_a_failed_run(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    outcome = vosseg("propagate", clip.frames, "-o", tmp_path / "out", "--json")
    assert outcome.code == 3
    assert outcome.json()["failed"][0]["error"] == "InputError"


def test_the_summary_names_masks_and_doubtful_frames(
    vosseg: Vosseg, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vossegcli.runners.propagate.confidence.REVIEW_SCORE", 1.01)  # everything is doubtful
    out = tmp_path / "out"
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", out)
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("1 done · 6 frames at ")
    assert lines[1] == f"results: {out}"
    assert lines[2].startswith("check these first: clip frame 0000")
    assert outcome.stderr.startswith("[1/1] done: clip, 6 frames, ")
    again = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", out)
    assert again.stdout.splitlines()[0] == "1 skipped"
    assert again.stderr == "[1/1] skipped: clip\n"


def test_quiet_prints_errors_only(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    outcome = vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out", "-q")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "")
    outcome = vosseg("propagate", clip.frames, "-o", tmp_path / "other", "-q")
    assert outcome.code == 3
    assert outcome.stdout == ""
    assert outcome.stderr == "failed: clip: no mask is given. Give one with --mask\n"


def test_a_note_says_how_the_mask_was_read(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    Image.fromarray((squares(0, (1,)) * 255).astype(np.uint8)).save(tmp_path / "bw.png")
    outcome = vosseg("propagate", clip.frames, "--mask", tmp_path / "bw.png", "-o", tmp_path / "out")
    assert "note: clip: 0/255 read as object 1" in outcome.stderr


def test_one_object_of_a_mask(vosseg: Vosseg, clip: Clip, refused: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert vosseg("propagate", clip.frames, "--mask", clip.mask, "--objects", "2", "-o", out).code == 0
    written = [read_ids(path) for path in sorted((out / "masks" / "clip").iterdir())]
    assert set(np.unique(written[0])) == {0, 2}
    assert not any((ids == 1).any() for ids in written)
    assert "1 done" in vosseg("propagate", clip.frames, "--mask", clip.mask, "-o", out, "--overwrite").stdout
    assert set(np.unique(read_ids(out / "masks" / "clip" / "00000.png"))) == {0, 1, 2}
    assert "'x' is not a number" in refused("--objects", "1,x", out=tmp_path / "other", code=5)
    assert "has no object 7" in refused("--objects", "7", out=tmp_path / "other")


def test_dry_run_writes_nothing_and_says_what_would_be_done(vosseg: Vosseg, tmp_path: Path) -> None:
    for name in ("done [x]", "new"):
        draw_video(tmp_path / "root" / name, 3)
        draw_mask(tmp_path / "given" / name / "00000.png")
    words = ["propagate", tmp_path / "root", "--mask", tmp_path / "given", "-o", tmp_path / "out"]
    assert vosseg(*words, "--dry-run").code == 0
    assert not (tmp_path / "out").exists()
    draw_video(tmp_path / "root" / "bad", 3)
    (tmp_path / "given" / "new").rename(tmp_path / "kept")
    assert vosseg(*words).code == 7
    (tmp_path / "kept").rename(tmp_path / "given" / "new")
    before = files_below(tmp_path)
    outcome = vosseg(*words, "--dry-run")
    assert files_below(tmp_path) == before
    assert outcome.code == 7
    lines = outcome.stdout.splitlines()
    assert len(lines) == 5
    assert lines[1].split()[:4] == ["bad", "0", "fail", f"{tmp_path / 'given' / 'bad'}:"]
    assert lines[2].split() == ["done", "[x]", "3", "skip", "already", "done"]
    assert lines[3].split() == ["new", "3", "run"]
    plan = vosseg(*words, "--dry-run", "--json").json()["plan"]
    assert [row["action"] for row in plan] == ["fail", "skip", "run"]
    plan = vosseg(*words, "--dry-run", "--json", "--overwrite").json()["plan"]
    assert [row["action"] for row in plan] == ["fail", "run", "run"]


def test_the_default_output_is_named_like_the_input(
    vosseg: Vosseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for parent in ("a", "b"):
        draw_video(tmp_path / parent / "clip.v2", 2)
    draw_mask(tmp_path / "mask.png")
    assert vosseg("propagate", "a/clip.v2", "--mask", "mask.png").code == 0
    assert (tmp_path / "runs" / "propagate" / "clip.v2" / "masks" / "clip.v2" / "00001.png").exists()
    before = files_below(tmp_path)
    outcome = vosseg("propagate", "b/clip.v2", "--mask", "mask.png")
    assert outcome.code == 3
    assert f"holds the results of another input, {tmp_path / 'a' / 'clip.v2'}" in outcome.stderr
    assert files_below(tmp_path) == before


@pytest.fixture
def refused(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> Callable[..., str]:
    """Run with one more thing that is wrong, expect one line and its code, and return the line."""

    def call(*words: object, code: int = 3, mask: Path | None = None, out: Path | None = None) -> str:
        outcome = vosseg("propagate", clip.frames, "--mask", mask or clip.mask, "-o", out or tmp_path / "out", *words)
        assert outcome.code == code, outcome.stderr
        (line,) = outcome.stderr.splitlines()
        assert "Traceback" not in line
        return line

    return call


def test_refused_masks(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "wrong.png: is 20x10, but its frame is 64x48" in refused(
        mask=draw_mask(tmp_path / "wrong.png", size=(10, 20))
    )
    draw_mask(tmp_path / "strangers" / "frame_x.png")
    line = refused(mask=tmp_path / "strangers")
    assert "no mask is named like a frame (masks: frame_x; frames: 00000, 00001, 00002, ...)" in line
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "black.png")
    assert "black.png: holds no object" in refused(mask=tmp_path / "black.png")
    assert "absent.png: does not exist" in refused(mask=tmp_path / "absent.png")
    (tmp_path / "empty").mkdir()
    assert "empty: holds no mask images" in refused(mask=tmp_path / "empty")
    assert "has no frame '77' (frames: 00000, 00001, 00002, ...)" in refused("--at", "77")


def test_at_goes_with_a_mask_file(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_mask(tmp_path / "masks" / "00000.png")
    assert "--at needs a mask file" in refused("--at", "1", mask=tmp_path / "masks", code=5)


def test_refused_outputs(refused: Callable[..., str], clip: Clip, tmp_path: Path) -> None:
    assert "lies inside the input folder" in refused(out=clip.frames / "masks")
    assert "lies inside the input folder" in refused(out=clip.frames)
    draw_mask(tmp_path / "out" / "masks" / "clip" / "00000.png")
    before = files_below(tmp_path)
    assert "would be overwritten" in refused(mask=tmp_path / "out" / "masks" / "clip")
    assert files_below(tmp_path) == before


def test_one_mask_for_several_sequences_is_refused_once(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        draw_video(tmp_path / "root" / name, 1)
    outcome = vosseg("propagate", tmp_path / "root", "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert outcome.stderr.count("\n") == 1
    assert "is one mask for 3 sequences" in outcome.stderr


@pytest.mark.parametrize("name", ["empty", "text.txt"])
def test_refused_inputs(vosseg: Vosseg, clip: Clip, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    outcome = vosseg("propagate", tmp_path / name, "--mask", clip.mask, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert outcome.stderr.count("\n") == 1


def _smooth_mask(path: Path) -> Path:
    sharp = np.zeros((HEIGHT, WIDTH), np.uint8)
    sharp[12:36, 20:44] = 255
    Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(1.2)).save(path)
    return path


def test_an_anti_aliased_mask_needs_fix_mask(
    vosseg: Vosseg, refused: Callable[..., str], clip: Clip, tmp_path: Path
) -> None:
    mask = _smooth_mask(tmp_path / "soft.png")
    line = refused(mask=mask)
    assert "soft.png: is anti-aliased" in line
    assert "--fix-mask" in line
    out = tmp_path / "fixed"
    outcome = vosseg("propagate", clip.frames, "--mask", mask, "--fix-mask", "-o", out)
    assert outcome.code == 0
    assert "anti-aliased pixels were snapped" in outcome.stderr
    assert set(np.unique(read_ids(out / "masks" / "clip" / "00000.png"))) == {0, 1}


def test_fix_mask_resizes(vosseg: Vosseg, clip: Clip, tmp_path: Path) -> None:
    mask = draw_mask(tmp_path / "half.png", size=(HEIGHT // 2, WIDTH // 2))
    outcome = vosseg("propagate", clip.frames, "--mask", mask, "--fix-mask", "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "resized from 32x24 to 64x48" in outcome.stderr


def test_a_real_process(checkpoint: Path, clip: Clip, tmp_path: Path) -> None:
    words = [VOSSEG, "propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out"]
    outcome = finish(start([*words, "--checkpoint", checkpoint, "--json"]))
    assert outcome.code == 0, outcome.stderr
    record = outcome.json()
    assert record["command"].startswith(f"vosseg propagate {clip.frames} --mask {clip.mask}")
    assert outcome.stderr.startswith("[1/1] done: clip, 6 frames")
    assert record["totals"]["peak_memory_mib"] > 50
    assert peak_memory_mib() is not None


def test_help_answers_without_torch() -> None:
    program = """
import sys
from typer.testing import CliRunner
from vossegcli.cli.app import app
for words in ("--help", "propagate --help", "checkpoints --help", "train --help", "--version"):
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
heavy = sorted({"torch", "numpy", "PIL", "av", "scipy"} & set(sys.modules))
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_tells_of_every_option(vosseg: Vosseg) -> None:
    text = vosseg("propagate", "--help", "--checkpoint", "x").stdout
    for option in (
        "--mask",
        "--at",
        "--use-masks",
        "--direction",
        "--fix-mask",
        "--save",
        "--dry-run",
        "--json",
    ):
        assert option in text
