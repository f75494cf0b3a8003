"""What spreading over processes is worth: whole commands with 1, 2 and 4 workers and on a local Ray cluster.

    python benchmarks/spread.py [--only propagate|evaluate] [--frames 12] [--size 480x854] [--repeats 3]

`propagate --adapt 0` on eight short made-up sequences with the embedded network, and `evaluate vos` on thirty sequences
of masks. The baseline is one process with all threads; the ratio is its time over theirs, the shortest of the repeats,
taken in turns. Where Ray is not installed it is left out, which is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from vossegcli.io.masks.label_maps import write_label_map

VOSSEG = Path(sys.executable).parent / "vosseg"
SEQUENCES, SCORED, SCORED_FRAMES = 8, 30, 60


def make_sequences(folder: Path, frames: int, size: tuple[int, int]) -> None:
    """Eight sequences of a disc that moves over a texture."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    for number in range(SEQUENCES):
        rng = np.random.default_rng(number)
        grid = rng.integers(20, 120, (height // 16 + 1, width // 16 + 1, 3))
        texture = np.kron(grid, np.ones((16, 16, 1)))[:height, :width].astype(np.uint8)
        for index in range(frames):
            disc = np.hypot(y - height / 2, x - width / 3 - 6 * index) < height / 6
            frame = texture.copy()
            frame[disc] = (230, 210, 90)
            path = folder / "frames" / f"s{number}" / f"{index:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame).save(path)
            if index == 0:
                write_label_map(folder / "masks" / f"s{number}" / "00000.png", disc.astype(np.uint8))


def make_masks(folder: Path) -> None:
    """Masks of the size of DAVIS 2017 val, and predictions that are shifted a little."""
    y, x = np.mgrid[:480, :854]
    for number in range(SCORED):
        for index in range(SCORED_FRAMES):
            ids = np.zeros((480, 854), np.uint8)
            for k in (1, 2):
                ids[np.hypot(y - 160 * k, x - 200 - 5 * index - 8 * number) < 70 + k] = k
            for tree, moved in (("gt", ids), ("pred", np.roll(ids, 3, axis=1))):
                write_label_map(folder / tree / f"s{number:02d}" / f"{index:05d}.png", moved)


def seconds_of(command: list[str | Path], output: Path | None) -> float:
    """Time a whole process; its output folder is removed before."""
    if output is not None:
        shutil.rmtree(output, ignore_errors=True)
    begin = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return time.perf_counter() - begin


def compare(title: str, commands: dict[str, list[str | Path]], output: Path | None, repeats: int) -> Table:
    """Time commands in turns; the first is the baseline."""
    best = dict.fromkeys(commands, float("inf"))
    for _ in range(repeats):
        for name, command in commands.items():
            best[name] = min(best[name], seconds_of(command, output))
    table = Table("run", "seconds", "ratio", title=title, box=None)
    baseline = next(iter(best.values()))
    for name, seconds in best.items():
        table.add_row(name, f"{seconds:.2f}", f"{baseline / seconds:.2f}")
    return table


def spread(command: list[str | Path]) -> dict[str, list[str | Path]]:
    """The ways to run a command, the baseline first."""
    commands = {f"{n} workers" if n > 1 else "one process": [*command, "--workers", str(n)] for n in (1, 2, 4)}
    if importlib.util.find_spec("ray") is not None:
        commands["Ray, 2 at a time"] = [*command, "--engine", "ray", "--workers", "2"]
    return commands


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("propagate", "evaluate"))
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", default="480x854")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    height, width = (int(part) for part in arguments.size.split("x"))
    console = Console()
    if importlib.util.find_spec("ray") is None:
        console.print("Ray is not installed: left out")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.only != "evaluate":
            make_sequences(folder, arguments.frames, (height, width))
            output = folder / "out"
            run = [
                VOSSEG,
                "propagate",
                folder / "frames",
                "--mask",
                folder / "masks",
                "--adapt",
                "0",
                "-o",
                output,
                "-q",
            ]
            title = f"propagate, {SEQUENCES} sequences of {arguments.frames} frames"
            console.print(compare(title, spread(run), output, arguments.repeats))
        if arguments.only != "propagate":
            make_masks(folder)
            score = [VOSSEG, "evaluate", "vos", folder / "pred", folder / "gt", "-q"]
            title = f"evaluate vos, {SCORED} sequences of {SCORED_FRAMES} frames"
            console.print(compare(title, spread(score), None, arguments.repeats))


if __name__ == "__main__":
    main()
