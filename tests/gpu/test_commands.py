"""Every command on a GPU gives what the CPU gives. Run with `pytest -m gpu` on a machine that has one.

`VOSSEG_TEST_DEVICE=cpu pytest -m gpu tests/gpu` tries the tests themselves without a GPU: what needs one is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import VOSSEG, Clip, Told, draw_mask, draw_video, finish, read_ids, start
from vossegcli.batch.run import run_command
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import PropagateCommand

EXAMPLES = Path(__file__).parents[2] / "examples"
DEVICE = os.environ.get("VOSSEG_TEST_DEVICE", "cuda")
HAS_GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="no CUDA device on this machine")

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(DEVICE == "cuda" and not HAS_GPU, reason="no CUDA device")]

#: Arguments of each command, with the folder of frames or images cut to a few.
COMMANDS = {
    "propagate": (EXAMPLES / "bunny/frames", 6, ("--mask", EXAMPLES / "bunny/masks/00000.png", "--adapt", 0)),
    "fewshot": (EXAMPLES / "tissue/tiles", 2, ("--support", EXAMPLES / "tissue/annotated")),
    "instance": (EXAMPLES / "nuclei/images", 1, ()),
    "track": (EXAMPLES / "moving_nuclei/frames", 6, ("--save", "masks")),
}


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames or images of each example."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, (source, count, _) in COMMANDS.items():
        (folder / name).mkdir()
        for path in sorted(source.iterdir())[:count]:
            (folder / name / path.name).symlink_to(path.resolve())
    return folder


@pytest.fixture(scope="session")
def on_cpu(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What each command gives on the CPU in fp32."""
    folder = tmp_path_factory.mktemp("cpu")
    return {name: masks_of(name, inputs, folder / name, "cpu", "fp32") for name in COMMANDS}


def masks_of(
    name: str, inputs: Path, output: Path, device: str, precision: str, more: Sequence[object] = ()
) -> dict[str, np.ndarray]:
    """Run a command in a process of its own and read its masks; ids of instances become 1."""
    words = (VOSSEG, name, inputs / name, *(more or COMMANDS[name][2]), "--device", device, "--precision", precision)
    outcome = finish(start((*words, "-o", output, "-q")))
    assert outcome.code == 0, outcome.stderr
    masks = {p.relative_to(output).as_posix(): read_ids(p) for p in sorted((output / "masks").rglob("*.png"))}
    assert masks
    return {path: ids if name in {"propagate", "fewshot"} else (ids > 0) for path, ids in masks.items()}


@pytest.fixture(scope="session")
def steady(on_cpu: dict[str, dict[str, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> float:
    """Share of the pixels of `fewshot` that stay in fp32 where samples of all images are one grey level off.

    Prototypes are drawn by k-means++, so what nobody can see moves them: half precision need not be steadier.
    """
    folder, generator = tmp_path_factory.mktemp("noisy"), np.random.default_rng(0)
    for kind in ("tiles", "annotated"):
        shutil.copytree(EXAMPLES / "tissue" / kind, folder / kind)
    for path in sorted(folder.rglob("*.jpg")):
        image = np.asarray(Image.open(path).convert("RGB")).astype(np.int16)
        noisy = (image + generator.integers(-1, 2, image.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path.with_suffix(".bmp"))
        path.unlink()
    (folder / "tiles").rename(folder / "fewshot")
    found = masks_of("fewshot", folder, folder / "out", "cpu", "fp32", ("--support", folder / "annotated"))
    return min(float((found[path] == expected).mean()) for path, expected in on_cpu["fewshot"].items())


@pytest.mark.parametrize(("precision", "share"), [("fp32", 0.9995), ("bf16", 0.995), ("fp16", 0.995)])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_gpu_gives_what_the_cpu_gives(
    request: pytest.FixtureRequest, inputs: Path, tmp_path: Path, name: str, precision: str, share: float
) -> None:
    if DEVICE == "cpu" and precision == "fp16":
        pytest.skip("fp16 needs a GPU")
    on_cpu = request.getfixturevalue("on_cpu")
    if name == "fewshot" and precision != "fp32":
        share = min(share, request.getfixturevalue("steady") - 0.01)
    found = masks_of(name, inputs, tmp_path / "out", DEVICE, precision)
    assert found.keys() == on_cpu[name].keys()
    for path, expected in on_cpu[name].items():
        assert (found[path] == expected).mean() >= share, f"{path}: other masks than on the CPU"


def test_an_absent_gpu_is_an_error(clip: Clip, tmp_path: Path) -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    words = ("propagate", clip.frames, "--mask", clip.mask, "-o", tmp_path / "out", "--device", absent)
    outcome = finish(start((VOSSEG, *words)))
    assert outcome.code == 6
    assert f"device '{absent}' is not available" in outcome.stderr
    assert not (tmp_path / "out").exists()


@needs_gpu
@pytest.mark.parametrize(("oom", "code"), [("fail", 7), ("shrink", 0)])
def test_out_of_memory(clip: Clip, checkpoint: Path, tmp_path: Path, oom: str, code: int) -> None:
    """Frames of 2048x1536 worked on at their size do not fit into a small part of the card, at half of it they do."""
    draw_video(tmp_path / "large", 2, size=(1536, 2048))
    mask = draw_mask(tmp_path / "large.png", size=(1536, 2048))
    limited = tmp_path / "limited.py"
    limited.write_text(
        "import sys, torch\n"
        "from vossegcli.cli.app import main\n"
        "total = torch.cuda.get_device_properties(0).total_memory\n"
        "torch.cuda.set_per_process_memory_fraction(400 * 2**20 / total)\n"
        "main()\n",
        encoding="utf-8",
    )
    words = ("propagate", tmp_path / "large", "--mask", mask, "--size", 1536, "--oom", oom, "--precision", "fp32")
    words += ("--checkpoint", checkpoint, "--device", "cuda", "-o", tmp_path / "out", "--json")
    outcome = finish(start((sys.executable, limited, *words)))
    assert outcome.code == code, outcome.stderr
    if oom == "fail":
        assert "out of memory" in outcome.json()["failed"][0]["reason"]
    else:
        row = json.loads((tmp_path / "out/run.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        assert any("smaller working size" in note for note in row["notes"])


class _Stops(Told):
    """Interrupts a run after the fifth frame."""

    def frame(self) -> None:
        super().frame()
        if self.frames == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("first", "second"), [(DEVICE, "cpu"), ("cpu", DEVICE)])
def test_resume_goes_across_devices(checkpoint: Path, clip: Clip, tmp_path: Path, first: str, second: str) -> None:
    def options(device: str) -> PropagateOptions:
        return PropagateOptions(
            frames=clip.frames, mask=clip.mask, output=tmp_path / "out", checkpoint=str(checkpoint), precision="fp32",
            snapshot_every=2, device=device,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run_command(PropagateCommand, options(first), _Stops())
    told = Told()
    run_command(PropagateCommand, options(second), told)
    assert told.before >= 4
    expected = () if first == second else (f"resumed: was interrupted on {first}",)
    assert told.results[0].notes == expected


def test_two_workers_on_one_gpu(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        draw_video(tmp_path / "root" / name, 3)
        draw_mask(tmp_path / "masks" / name / "00000.png")
    words = (VOSSEG, "propagate", tmp_path / "root", "--mask", tmp_path / "masks", "--checkpoint", checkpoint)
    words += ("--device", DEVICE, "--precision", "fp32", "--json", "-o")
    one = finish(start((*words, tmp_path / "one")))
    two = finish(start((*words, tmp_path / "two", "--workers", 2)))
    assert (one.code, two.code) == (0, 0), two.stderr
    assert two.json()["totals"]["done"] == 3
    for path in sorted((tmp_path / "one/masks").rglob("*.png")):
        with Image.open(path) as alone, Image.open(tmp_path / "two" / path.relative_to(tmp_path / "one")) as beside:
            assert (np.array(alone) == np.array(beside)).mean() >= 0.9995
