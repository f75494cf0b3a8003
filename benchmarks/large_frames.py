"""What the size of frames costs `vosseg propagate` beside its network, which works at a smaller size.

    python benchmarks/large_frames.py [--size 3840x2160] [--objects 1,5,20] [--memory 50] [--checkpoint NAME]
    python benchmarks/large_frames.py --size 512x512 --objects 1,100,1000 --memory "" --frames 2    # many objects

Discs that move are followed through a few frames. Times are CPU time per frame, the shortest of a few: reading the
JPEG, the step of the predictor on a small frame (the network alone: it is as large as the working size) and on the
large one, and writing the label map. "At frame size / network" is what reading, the larger step and writing take,
over the network. Each row runs in a process of its own, whose peak memory is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.media.images import read_image
from vossegcli.models.chosen_model import choose_model
from vossegcli.ops.resize import working_size

FRAMES = 3
T = TypeVar("T")


def discs(size: tuple[int, int], objects: int, index: int) -> np.ndarray:
    """Draw a label map (H,W) of discs in rows, moved by a few pixels a frame."""
    height, width = size
    across = max(2, round((objects * width / height) ** 0.5))
    cell = min(height // -(-objects // across), width // across)
    y, x = np.mgrid[:height, :width]
    ids = np.zeros(size, np.uint16)
    for number in range(objects):
        row, column = divmod(number, across)
        centre = (row + 0.5) * cell, (column + 0.45) * cell + 0.02 * cell * index
        ids[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (0.35 * cell) ** 2] = number + 1
    return ids


def picture(ids: np.ndarray) -> np.ndarray:
    """Paint a frame (H,W,3): every object in a colour of its own, over soft stripes."""
    height, width = ids.shape
    y, x = np.mgrid[:height, :width]
    ground = 90 + 30 * np.sin(x / width * 40) * np.cos(y / height * 30)
    colors = np.random.default_rng(0).integers(60, 255, (int(ids.max()) + 1, 3))
    return np.where(ids[..., None] > 0, colors[ids], ground[..., None]).astype(np.uint8)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the CPU time of some work in milliseconds, and its result."""
    began = time.process_time()
    result = work()
    return 1000.0 * (time.process_time() - began), result


def measure(size: tuple[int, int], objects: int, checkpoint: str, frames: int) -> dict[str, float]:
    """Follow objects at two sizes and return milliseconds per frame, and the peak memory in MiB."""
    model = choose_model("propagate", checkpoint, "cpu", "auto")
    predictor = model.predictor(short_side=model.short_side)
    small = working_size(size, predictor.short_side)
    row: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (height, width) in (("network", small), ("large step", size)):
            steps = []
            for index in range(frames + 1):
                ids = discs((height, width), objects, index)
                Image.fromarray(picture(ids)).save(path := Path(folder) / "frame.jpg", quality=92)
                read, frame = timed(lambda path=path: read_image(path))
                image = torch.from_numpy(frame).permute(2, 0, 1)
                if not index:
                    predictor.start(image, torch.from_numpy(ids.astype(np.int32)))
                    continue
                step, found = timed(lambda image=image: predictor.step(image))
                label_map = found.label_map.numpy().astype(np.uint16)
                write, _ = timed(lambda ids=label_map: write_label_map(Path(folder) / "mask.png", ids))
                steps.append((step, read, write))
            best = np.min(steps[1:], axis=0)  # the first step also takes the given frame into the memory
            row |= {name: best[0], "read": best[1], "write": best[2]}
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return row | {"peak": int(status.split("VmHWM:")[1].split()[0]) / 1024}


def main() -> None:
    """Print a table, a row per number of objects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="3840x2160")
    parser.add_argument("--objects", default="1,5,20")
    parser.add_argument("--memory", default="50", help="more numbers of objects, of which memory matters")
    parser.add_argument("--checkpoint", default="afb-urr-compact")
    parser.add_argument("--frames", type=int, default=FRAMES, help="after the first one; at least 2")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    if arguments.one:
        print(json.dumps(measure((height, width), arguments.one, arguments.checkpoint, arguments.frames)), flush=True)
        return
    columns = ("objects", "network ms", "read", "large step", "write", "at frame size / network", "peak MiB")
    table = Table(*columns, box=None)
    for objects in (int(text) for text in f"{arguments.objects},{arguments.memory}".strip(",").split(",")):
        command = [sys.executable, __file__, "--one", str(objects), "--size", arguments.size]
        command += ["--checkpoint", arguments.checkpoint, "--frames", str(arguments.frames)]
        row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        beyond = row["read"] + row["large step"] - row["network"] + row["write"]
        shown = (row[name] for name in ("network", "read", "large step", "write"))
        table.add_row(
            str(objects), *(f"{value:.0f}" for value in shown), f"{beyond / row['network']:.2f}", f"{row['peak']:.0f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
