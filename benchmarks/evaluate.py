"""Speed of `vosseg evaluate vos` beside the official tools, whole processes on the same masks.

    python benchmarks/evaluate.py [GT PRED] [--workers 2] [--repeats 3]

GT and PRED are folders of sequences; without them, masks like those of DAVIS 2017 val are made up: 30 sequences, 1,999
frames, 61 objects at 480x854. The peers run where they are installed: vos-benchmark (PyPI) with the same number of
processes, davis2017-evaluation (davisvideochallenge/davis2017-evaluation) as it is, with one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from vossegcli.io.masks.label_maps import write_label_map

HEIGHT, WIDTH = 480, 854
FRAMES = [67] * 19 + [66] * 11  # 1,999
OBJECTS = [3] * 11 + [2] * 9 + [1] * 10  # 61
SHIFT = 2

DECODE = """
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import numpy as np
from PIL import Image
def read(path):
    return int(np.asarray(Image.open(path)).size)
if __name__ == "__main__":
    files = [p for folder in sys.argv[2:] for p in Path(folder).rglob("*.png")]
    with ProcessPoolExecutor(int(sys.argv[1])) as pool:
        sum(pool.map(read, files, chunksize=32))
"""
VOS_BENCHMARK = """
import sys
from vos_benchmark.benchmark import benchmark
if __name__ == "__main__":
    benchmark([sys.argv[2]], [sys.argv[3]], num_processes=int(sys.argv[1]), verbose=False)
"""
DAVIS = """
import sys
from davis2017.evaluation import DAVISEvaluation
DAVISEvaluation(davis_root=sys.argv[1], task="semi-supervised", gt_set="val").evaluate(sys.argv[2])
"""


def make_masks(folder: Path) -> tuple[Path, Path]:
    """Make up ground truth and predictions (the truth of two frames later); returns both folders."""
    rng = np.random.default_rng(0)
    for number, (frames, objects) in enumerate(zip(FRAMES, OBJECTS, strict=True)):
        maps = _sequence(rng, frames, objects)
        for index, ids_map in enumerate(maps):
            name = f"{number:02d}/{index:05d}.png"
            write_label_map(folder / "gt" / name, ids_map)
            write_label_map(folder / "pred" / name, maps[min(index + SHIFT, frames - 1)])
    return folder / "gt", folder / "pred"


def _sequence(rng: np.random.Generator, frames: int, objects: int) -> list[np.ndarray]:
    """Ragged blobs that drift, each about a tenth of the frame."""
    side = 300
    shapes = []
    for _ in range(objects):
        noise = ndimage.zoom(rng.standard_normal((24, 24)), side / 24, order=1)
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        shapes.append(0.7 - np.hypot(x, y) + 0.2 * noise > 0)
    starts = rng.uniform(0, (HEIGHT - side, WIDTH - side), (objects, 2))
    speeds = rng.uniform(-3, 3, (objects, 2))
    maps = []
    for t in range(frames):
        ids_map = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, shape in enumerate(shapes):
            top, left = np.clip(starts[k] + t * speeds[k], 0, (HEIGHT - side, WIDTH - side)).astype(int)
            ids_map[top : top + side, left : left + side][shape] = k + 1
        maps.append(ids_map)
    return maps


def davis_root(truth: Path, folder: Path) -> Path:
    """Give the truth the layout that the official tool asks for (it looks for images, which may be empty)."""
    names = sorted(path.name for path in truth.iterdir() if path.is_dir())
    (folder / "ImageSets" / "2017").mkdir(parents=True)
    (folder / "ImageSets" / "2017" / "val.txt").write_text("\n".join(names) + "\n")
    for name in names:
        (folder / "JPEGImages" / "480p" / name).mkdir(parents=True)
        for mask in (truth / name).glob("*.png"):
            (folder / "JPEGImages" / "480p" / name / f"{mask.stem}.jpg").touch()
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "480p").symlink_to(truth.resolve())
    return folder


def seconds(command: list[str], repeats: int) -> float:
    """The shortest wall time of a process, in seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
        if done.returncode:
            sys.exit(f"{command[:3]} failed:\n{done.stderr}")
    return min(times)


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="GT PRED")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if len(arguments.folders) not in (0, 2):
        parser.error("give GT and PRED, or neither")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        truth, predicted = arguments.folders or make_masks(folder / "masks")
        workers = str(arguments.workers)
        python, vosseg = sys.executable, str(Path(sys.executable).with_name("vosseg"))
        commands = {
            "vosseg evaluate": [vosseg, "evaluate", "vos", str(predicted), str(truth), "--workers", workers, "-q"],
            "decoding alone (Pillow)": [python, "-c", DECODE, workers, str(truth), str(predicted)],
        }
        if find_spec("vos_benchmark"):
            commands["vos-benchmark"] = [python, "-c", VOS_BENCHMARK, workers, str(truth), str(predicted)]
        if find_spec("davis2017"):
            root = davis_root(truth, folder / "DAVIS")
            commands["davis2017-evaluation (1 process)"] = [python, "-c", DAVIS, str(root), str(predicted)]
        table = Table("tool", "seconds", "times vosseg's", box=None)
        ours = 0.0
        for name, command in commands.items():
            took = seconds(command, arguments.repeats)
            ours = ours or took
            table.add_row(name, f"{took:.2f}", f"{took / ours:.2f}")
        for name in ("vos_benchmark", "davis2017"):
            if not find_spec(name):
                table.add_row(f"{name}: not installed", "", "")
        Console().print(table)


if __name__ == "__main__":
    main()
