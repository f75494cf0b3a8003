"""CPU time per frame of `propagate` with the compact checkpoint, one thread, bunny example.

    python benchmarks/frame_time.py [--checkpoint NAME] [--frames 24]

On two threads or more, one half of them encodes the next frame while the other segments this one, so that the larger of
the two sums limits the speed. What is encoded ahead and what comes after it take turns here. Every third frame is
memorised, which makes the step after it longer: the mean counts for a video.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from PIL import Image
from propagate import BUNNY
from rich.console import Console
from rich.table import Table

from vossegcli.batch.freed_memory import keep_freed_memory
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.models.chosen_model import choose_model


def measure(checkpoint: str, count: int) -> tuple[list[float], list[float]]:
    """Return the CPU time in ms of encoding each frame, and of segmenting it; the first three are not counted."""
    model = choose_model("propagate", checkpoint, "cpu", "auto")
    predictor = model.predictor(short_side=model.short_side)
    paths = sorted(BUNNY.glob("*.jpg"))[:count]
    frames = [torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) for path in paths]
    (mask,) = sorted((BUNNY.parent / "masks").glob("*.png"))[:1]
    encoded = predictor.encode(frames[0])
    predictor.start(encoded, torch.from_numpy(read_label_map(mask).ids_map.astype(np.int32)))
    ahead, after = [], []
    for frame in frames[1:]:
        began = time.process_time()
        encoded = predictor.encode(frame, encoded)
        predictor.prepare(encoded)
        between = time.process_time()
        predictor.step(encoded)
        ahead.append(1e3 * (between - began))
        after.append(1e3 * (time.process_time() - between))
    return ahead[2:], after[2:]


def main(arguments: list[str]) -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="afb-urr-compact")
    parser.add_argument("--frames", type=int, default=24)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()  # as the commands do
    ahead, after = measure(options.checkpoint, options.frames)
    table = Table(
        "", "mean, ms", "median, ms", "least, ms", title=f"CPU time of a frame, {len(ahead)} frames", box=None
    )
    both = [a + b for a, b in zip(ahead, after, strict=True)]
    for name, times in (("encoded ahead", ahead), ("segmented", after), ("both", both)):
        table.add_row(name, f"{statistics.mean(times):.0f}", f"{statistics.median(times):.0f}", f"{min(times):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
