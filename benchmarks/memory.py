"""Peak memory of `vosseg propagate` against the number of frames; each length is run in a process of its own.

python benchmarks/memory.py FOLDER    the process that is measured: runs FOLDER/frames and prints its peak
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from vossegcli.batch.run import peak_memory_mib
from vossegcli.batch.work import RunProgress
from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.weights.checkpoints import CheckpointHeader, write_checkpoint
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate
from vossegcli.systems.afb_urr.config import AFBURRConfig, BankConfig, TrunkConfig
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.types import ItemResult

HEIGHT, WIDTH = 64, 96
#: Full after some 30 frames, so that the shortest video has a full bank too.
BUDGET = 2000
TINY_TRUNK = TrunkConfig("basic", 8, (8, 16, 16), (1, 1, 1))
TINY = AFBURRConfig(
    query_trunk=TINY_TRUNK,
    memory_trunk=TINY_TRUNK,
    key_channels=16,
    value_channels=32,
    decoder_channels=16,
    local_channels=8,
    bank=BankConfig(budget=BUDGET, merge_threshold=1.0),
)


class StopsAtFailures(RunProgress):
    """A progress display that shows nothing."""

    def result(self, result: ItemResult) -> None:
        """Stop where the run failed.

        Raises:
            RuntimeError: it did.
        """
        if result.status != "done":
            raise RuntimeError(f"{result.name}: {result.reason}")


def make_case(folder: Path, frames: int) -> None:
    """Write a moving texture, the mask of its first frame and a tiny checkpoint below a folder."""
    rng = np.random.default_rng(0)
    (folder / "frames").mkdir(parents=True)
    texture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for index in range(frames):
        Image.fromarray(np.roll(texture, index, axis=1)).save(folder / "frames" / f"{index:05d}.jpg")
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[16:48, 24:56] = 1
    write_label_map(folder / "mask.png", ids)
    torch.manual_seed(0)
    header = CheckpointHeader("afb-urr", TINY.to_dict(), (), {"data": ["none"], "steps": 0})
    write_checkpoint(folder / "tiny.safetensors", dict(AFBURR(TINY).state_dict()), header)


def peak_mib() -> float:
    """Largest resident memory of this process; the kernel's own mark where it has one.

    `getrusage` also counts what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    return peak_memory_mib() or float("nan")


def run_case(folder: Path) -> None:
    """Segment a case with the command's own runner and print this process's peak memory in MiB."""
    options = PropagateOptions(
        frames=folder / "frames",
        mask=folder / "mask.png",
        checkpoint=str(folder / "tiny.safetensors"),
        output=folder / "out",
        device="cpu",
        precision="fp32",
    )
    propagate(options, StopsAtFailures())
    print(peak_mib())


def report_memory(lengths: list[int], console: Console) -> None:
    """Print peak memory for each length and its ratio to the first one's."""
    table = Table("frames", "peak MiB", "more", "ratio", title=f"{WIDTH}x{HEIGHT}, bank of {BUDGET}", box=None)
    first = None
    for frames in lengths:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "case"
            make_case(folder, frames)
            command = [sys.executable, str(Path(__file__).resolve()), str(folder)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            done = len(list((folder / "out" / "masks").rglob("*.png")))
        if done != frames:
            raise RuntimeError(f"{done} masks of {frames}")
        peak = float(output.split()[-1])
        first = first or peak
        table.add_row(str(frames), f"{peak:.0f}", f"{peak - first:+.0f}", f"{peak / first:.3f}")
    console.print(table)


if __name__ == "__main__":
    run_case(Path(sys.argv[1]))
