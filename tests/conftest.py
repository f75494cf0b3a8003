"""Fixtures: a tiny checkpoint, small videos of moving squares, the command in this process or its own."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

from vossegcli.batch import processes
from vossegcli.cli.app import app
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.records.atomic import _host_tag
from vossegcli.io.weights.checkpoints import CheckpointHeader, write_checkpoint
from vossegcli.systems.afb_urr.config import AFBURRConfig, BankConfig, LocalityConfig, TrunkConfig
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.model import MobileInst
from vossegcli.types import ItemResult

torch.set_num_threads(1)

with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra vosseg[ray]")

HEIGHT, WIDTH = 48, 64
COLORS = np.array([[40, 60, 40], [220, 40, 40], [40, 220, 60], [60, 60, 230], [230, 220, 50]], np.uint8)

TINY_TRUNK = TrunkConfig("basic", 8, (8, 8, 16), (1, 1, 1))
TINY = AFBURRConfig(
    query_trunk=TINY_TRUNK,
    memory_trunk=TINY_TRUNK,
    key_channels=16,
    value_channels=16,
    decoder_channels=16,
    local_channels=8,
    key_source="frame",
    unit_keys=True,
    mask_cells=4,
    locality=LocalityConfig(key_channels=8, rows=3),
    bank=BankConfig(budget=2000, protect_annotated=True, memory_every=3),
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The material beside the repository; tests that need it are skipped without it."""
    folder = Path(os.environ.get("VOSSEG_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no material in {folder}: set VOSSEG_SHARED")
    return folder


def tiny_header(system: str = "afb-urr") -> CheckpointHeader:
    """The header of a checkpoint of the configuration `TINY`."""
    return CheckpointHeader(system, TINY.to_dict(), (), {"data": ["none"], "steps": 0})


def tiny_weights() -> dict[str, torch.Tensor]:
    """Weights that follow from a seed."""
    torch.manual_seed(7)
    return dict(AFBURR(TINY).state_dict())


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights, small enough to segment a frame in milliseconds."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    write_checkpoint(path, tiny_weights(), tiny_header())
    return path


@pytest.fixture(scope="session")
def few_shot_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random FWB network whose head follows the nearest prototype: what is like the support is the class."""
    config = FWBConfig("efficientnet_lite0", projected=8, head_channels=16, prototypes=2, steps=3, short_side=64)
    torch.manual_seed(0)
    network = FWB(config)
    with torch.no_grad():
        network.presence[-1].weight.zero_()
        network.presence[-1].bias.fill_(2.0)
    path = tmp_path_factory.mktemp("fwb") / "tiny.safetensors"
    write_checkpoint(path, dict(network.state_dict()), CheckpointHeader("fwb", config.to_dict(), (), {"steps": 0}))
    return path


def squares(index: int, ids: Sequence[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H,W) ids of squares that move to the right, one below the other, `ids` from top to bottom."""
    ids_map = np.zeros((height, width), np.uint16)
    side = max(3, height // (len(ids) + 1))
    for row, object_id in enumerate(ids):
        left = (3 + 2 * index + 5 * row) % max(1, width - side)
        ids_map[row * side + 1 : row * side + side, left : left + side] = object_id
    return ids_map


def write_frame(path: Path, ids_map: np.ndarray) -> None:
    """A noisy picture of the squares."""
    noise = np.random.default_rng(int(ids_map.sum())).integers(0, 24, (*ids_map.shape, 3))
    image = (COLORS[ids_map % len(COLORS)] + noise).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def draw_video(
    folder: Path,
    frames: int,
    ids: Sequence[int] = (1, 2),
    *,
    suffix: str = ".jpg",
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> list[str]:
    """Write the frames `00000`, `00001`, ... and return their names."""
    names = [f"{index:05d}" for index in range(frames)]
    for index, name in enumerate(names):
        write_frame(folder / f"{name}{suffix}", squares(index, ids, *size))
    return names


def draw_mask(
    path: Path, ids: Sequence[int] = (1, 2), *, index: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """Write the true mask of a frame."""
    write_label_map(path, squares(index, ids, *size))
    return path


def read_ids(path: Path) -> np.ndarray:
    """The values of a written mask."""
    with Image.open(path) as image:
        return np.array(image)


def files_below(folder: Path, *, but: Sequence[str] = ()) -> dict[str, bytes]:
    """All files of a tree by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in but)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Clip:
    """A folder of frames and the mask of its first frame."""

    frames: Path
    mask: Path
    names: list[str]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Six frames, two objects."""
    names = draw_video(tmp_path / "clip", 6)
    return Clip(tmp_path / "clip", draw_mask(tmp_path / "mask.png"), names)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, Any]:
        """The one object that stdout must consist of."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value


@pytest.fixture
def vosseg(checkpoint: Path) -> Callable[..., Outcome]:
    """Run the command in this process; `propagate` gets the tiny checkpoint unless another is named."""

    def run(*args: object) -> Outcome:
        words = [str(arg) for arg in args]
        if words[0] == "propagate" and "--checkpoint" not in words:
            words += ["--checkpoint", str(checkpoint), "--device", "cpu", "--precision", "fp32"]
        result = CliRunner().invoke(app, words)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


VOSSEG = Path(sys.executable).parent / "vosseg"


def start(args: Sequence[object], **environment: str) -> subprocess.Popen[str]:
    """Start a program of this environment as a process of its own."""
    env: Mapping[str, str] = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    words = [str(arg) for arg in args]
    # Tests that run in the background or under nohup ignore these; a process inherits it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def finish(process: "subprocess.Popen[str]", seconds: float = 300.0) -> Outcome:
    """Wait for a process; one that does not end is killed, and the test fails with what it said."""
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        pytest.fail(f"did not end within {seconds:.0f} s:\n{stdout}\n{stderr}")
    return Outcome(process.returncode, stdout, stderr)


def leave_temporaries(*folders: Path) -> None:
    """Leave a file in each folder that a process was writing when it was killed."""
    dead = start([sys.executable, "-c", "pass"])
    finish(dead)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".vosseg-{_host_tag()}-{dead.pid}-00000000.png").write_bytes(b"half")


@pytest.fixture
def quick_context(monkeypatch: pytest.MonkeyPatch) -> BaseContext:
    """Processes that are forked from one that has loaded torch and the commands, which takes a spawned one seconds."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])  # what they do may be in the tests
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    context.set_forkserver_preload(["vossegcli.api.batches"])
    return context


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch, quick_context: BaseContext) -> None:
    """Workers of `--workers` are such processes too.

    Spawned ones, as users have them: `batch/test_processes.py`, and the tests that start a whole command.
    """
    monkeypatch.setattr(processes, "get_context", lambda _: quick_context)


@dataclass
class Told:
    """A progress display that remembers what it was told."""

    total: int = 0
    frames: int = 0
    before: int = 0
    items: list[str] = field(default_factory=list)
    results: list[ItemResult] = field(default_factory=list)

    def begin(self, items: int, frames: int) -> None:
        self.total = frames

    def item(self, name: str) -> None:
        self.items.append(name)

    def done_before(self, frames: int) -> None:
        self.before += frames

    def frame(self) -> None:
        self.frames += 1

    def result(self, result: ItemResult) -> None:
        self.results.append(result)


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO instances file: four pictures of noise with two discs each, from two sources."""
    folder = tmp_path_factory.mktemp("coco")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    y, x = np.mgrid[:90, :120]
    for i in range(4):
        picture = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
        for k, (row, column) in enumerate(((30, 40), (60, 80))):
            disc = (np.hypot(y - row, x - column) < 20).astype(np.uint8)
            picture[disc > 0] = (200, 60 * k, 40)
            rle = coco_mask.encode(np.asfortranarray(disc))
            segmentation = {"size": [90, 120], "counts": rle["counts"].decode()}
            annotations.append({"id": 2 * i + k, "image_id": i, "category_id": 1, "segmentation": segmentation})
        Image.fromarray(picture).save(folder / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": 90, "width": 120, "source": f"s{i // 2}"})
    path = folder / "discs.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    return path


@pytest.fixture(scope="session")
def tiny_tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network that is sure of everything, with masks of half the picture."""
    config = MobileInstConfig(
        classes=2, stem=8, widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), blocks=1, heads=2, channels=32, queries=4,
        kernel=16, feedforward=32, decoder_heads=4, local_stride=16, query_stride=16, short_side=64, key_every=2,
    )  # fmt: skip
    torch.manual_seed(0)
    network = MobileInst(config)
    with torch.no_grad():
        network.instance_decoder.cls_score.bias.fill_(3.0)
        network.instance_decoder.objectness.bias.fill_(3.0)
        network.instance_decoder.mask_kernel.weight.mul_(20.0)
    path = tmp_path_factory.mktemp("mobileinst") / "tiny.safetensors"
    header = CheckpointHeader("mobileinst", config.to_dict(), ("nucleus", "cell"), {"steps": 0})
    write_checkpoint(path, dict(network.state_dict()), header)
    return path
