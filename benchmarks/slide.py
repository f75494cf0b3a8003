"""What large images cost after the network: tiles, seams, painting, tables; time per megapixel and peak memory.

    python benchmarks/slide.py [--sizes 4096,8192,16384,32768] [--save masks,coco,overlay] [--every 146] [--format tif]

Each image is a slide of discs, one every so many pixels: a tiled BigTIFF, or a PNG or JPEG file, which has to be
decoded as a whole. A stand-in for the network knows where they are and returns
those of each tile, cut at its borders, so that the time is that of everything else: reading, cutting, joining over
seams, painting, writing. Seconds are CPU time, so that other programs do not count. Each size runs in a process of its
own; the ratio is to the first size.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import tifffile
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vossegcli.batch.run import run_command
from vossegcli.runners.instance.run import InstanceCommand, InstanceOptions
from vossegcli.systems.base import Instances

RADIUS, SIDE, TILE, PIECE = 14, 28, 1024, 256
BACKGROUND, DISC = 20, 200


def write_slide(path: Path, side: int, every: int) -> None:
    """Write an RGB slide (S,S,3) of discs: a tiled BigTIFF a row of tiles at a time, other formats as a whole."""
    cell = np.full((every, every), BACKGROUND, np.uint8)
    y, x = np.mgrid[:every, :every] - every // 2
    cell[y**2 + x**2 < RADIUS**2] = DISC
    count = side // every
    if path.suffix != ".tif":
        grey = np.full((side, side), BACKGROUND, np.uint8)
        grey[: count * every, : count * every] = np.tile(cell, (count, count))
        Image.fromarray(grey).convert("RGB").save(path, compress_level=1, quality=95)
        return

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, side, PIECE):
            rows = np.arange(top, min(top + PIECE, side))
            inside = np.arange(side) < count * every
            band = np.where(
                inside & (rows < count * every)[:, None], cell[rows % every][:, np.arange(side) % every], BACKGROUND
            )
            for left in range(0, side, PIECE):
                yield np.repeat(band[:, left : left + PIECE, None].astype(np.uint8), 3, axis=2)

    tifffile.imwrite(
        path, tiles(), shape=(side, side, 3), dtype=np.uint8, tile=(PIECE, PIECE), photometric="rgb",
        compression="zlib", bigtiff=True,
    )  # fmt: skip


class KnownDiscs:
    """Finds the discs of a tile, or the pieces of them, by their brightness."""

    def predict(self, images: Tensor) -> list[Instances]:
        """Return an instance for every piece of a disc in images (1,3,H,W)."""
        from scipy import ndimage

        bright = images[0, 0].numpy() > 0.5 * (BACKGROUND + DISC) / 255.0
        labels, _ = ndimage.label(bright)
        boxes, masks = [], []
        for rows, columns in ndimage.find_objects(labels):
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
            part = torch.from_numpy(bright[rows, columns]).float()[None, None]
            masks.append(torch.nn.functional.interpolate(part, (SIDE, SIDE), mode="bilinear")[0, 0])
        count = len(boxes)
        found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return [
            Instances(
                found, torch.full((count,), 0.9), torch.zeros(count, dtype=torch.int64),
                torch.stack(masks) if masks else torch.zeros(0, SIDE, SIDE), found,
            )
        ]  # fmt: skip


def peak_mib() -> float:
    """Largest resident memory of this process in MiB; `ru_maxrss` would count the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(side: int, every: int, save: str, suffix: str) -> None:
    """Run the command on one slide and print a JSON row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"slide.{suffix}"
        writer = multiprocessing.get_context("spawn").Process(target=write_slide, args=(path, side, every))
        writer.start()  # a process of its own, so that its memory does not count
        writer.join()
        options = InstanceOptions(
            images=str(path), output=Path(folder) / "out", tile=TILE, save=tuple(save.split(",")), device="cpu",
            max_pixels=1 << 31,
        )  # fmt: skip
        with patch.object(InstanceCommand, "new_predictor", lambda *_: KnownDiscs()):
            began = time.process_time()
            record = run_command(InstanceCommand, options)
            seconds = time.process_time() - began
    row = {
        "side": side,
        "discs": (side // every) ** 2,
        "found": record["instances"],
        "seconds": seconds,
        "peak": peak_mib(),
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print a table of all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="4096,8192,16384,32768")
    parser.add_argument("--save", default="masks,coco,overlay")
    parser.add_argument("--every", type=int, default=146, help="pixels from one disc to the next")
    parser.add_argument("--format", choices=("tif", "png", "jpg"), default="tif")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.every, arguments.save, arguments.format)
        return
    table = Table("side", "discs", "found", "CPU s", "per megapixel", "ratio", "peak MiB", box=None)
    first = None
    for side in (int(text) for text in arguments.sizes.split(",")):
        command = [sys.executable, __file__, "--one", str(side), "--every", str(arguments.every)]
        command += ["--save", arguments.save, "--format", arguments.format]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        each = row["seconds"] / (side * side / 1e6)
        first = first or each
        table.add_row(
            str(side), str(row["discs"]), str(row["found"]), f"{row['seconds']:.1f}", f"{each:.3f}",
            f"{each / first:.2f}", f"{row['peak']:.0f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
