"""Long runs: does memory, do open files, does speed stay as they were?

    python benchmarks/soak.py [--frames 10000] [--images 2000]

`propagate --adapt 0` with the embedded network on a made-up video of small frames, and `instance` on as many made-up
images, each in a process of its own. Printed: resident memory after 500 frames and at the end, open files likewise, and
frames a second in the last tenth over those in the first tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.runners.instance.run import InstanceOptions, instance
from vossegcli.runners.propagate.options import PropagateOptions
from vossegcli.runners.propagate.run import propagate
from vossegcli.types import ItemResult

HEIGHT, WIDTH = 96, 128
EARLY = 500


@dataclass
class Watch:
    """A progress display that looks at its own process after every frame."""

    times: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def begin(self, items: int, frames: int) -> None:
        """Ignore."""

    def item(self, name: str) -> None:
        """Ignore."""

    def done_before(self, frames: int) -> None:
        """Ignore."""

    def frame(self) -> None:
        """Note the time, MiB and open files."""
        self.times.append(time.perf_counter())
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        self.files.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - pathlib would open them

    def result(self, result: ItemResult) -> None:
        """Stop where the run failed.

        Raises:
            RuntimeError: it did.
        """
        if result.status != "done":
            raise RuntimeError(f"{result.name}: {result.reason}")


def measure(kind: str, folder: Path) -> None:
    """Do one run in this process and print what was seen, as JSON."""
    watch = Watch()
    common = {"output": folder / "out", "device": "cpu"}
    if kind == "propagate":
        propagate(PropagateOptions(frames=folder / "frames", mask=folder / "mask.png", adapt=0, **common), watch)
    else:
        instance(InstanceOptions(images=str(folder / "frames"), short_side=96, **common), watch)
    tenth = len(watch.times) // 10
    first, last = (part[-1] - part[0] for part in (watch.times[:tenth], watch.times[-tenth:]))
    early = min(EARLY, len(watch.memory) // 2)
    print(json.dumps({
        "frames": len(watch.times), "early": early, "memory": [watch.memory[early], watch.memory[-1]],
        "files": [watch.files[early], watch.files[-1]], "rate": (tenth - 1) / last, "speed": first / last,
    }))  # fmt: skip


def make_frames(folder: Path, count: int) -> None:
    """A bright disc on a moving texture, and its mask in the first frame."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(20, 120, (HEIGHT // 8, WIDTH // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    (folder / "frames").mkdir(parents=True)
    for index in range(count):
        centre = WIDTH / 2 + WIDTH / 4 * np.sin(index / 40)
        disc = np.hypot(y - HEIGHT / 2, x - centre) < HEIGHT / 6
        frame = np.roll(texture, index // 4, axis=1).copy()
        frame[disc] = (230, 210, 90)
        Image.fromarray(frame).save(folder / "frames" / f"{index:05d}.jpg")
        if index == 0:
            write_label_map(folder / "mask.png", disc.astype(np.uint8))


def main() -> None:
    """Measure both kinds of runs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return
    table = Table("run", "memory MiB, early / end", "ratio", "open files", "frames/s at the end", "speed end / begin")
    for kind, count in (("propagate", arguments.frames), ("instance", arguments.images)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "case"
            make_frames(folder, count)
            command = [sys.executable, str(Path(__file__).resolve()), "--measure", kind, str(folder)]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        seen = json.loads(printed.splitlines()[-1])
        early, end = seen["memory"]
        table.add_row(
            f"{kind}, {seen['frames']} frames", f"{early:.0f} / {end:.0f}", f"{end / early:.3f}",
            f"{seen['files'][0]} / {seen['files'][1]}", f"{seen['rate']:.1f}", f"{seen['speed']:.3f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
