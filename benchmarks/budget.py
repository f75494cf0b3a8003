"""The bank's size and the time a frame against the bank's budget, as a table and a picture.

    python benchmarks/budget.py [--frames 400] [--size 240x426] -o docs/bank-budget.svg

The embedded network on a made-up video with one object; nothing is merged, so that all banks are full in the end. The
time is the median of the last fifty frames, relative to that of the smallest budget.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vossegcli.io.records.atomic import write_text_atomic
from vossegcli.models.chosen_model import choose_model
from vossegcli.ops.images import image_tensor

BUDGETS = (1_000, 3_000, 10_000, 30_000, 100_000)
NO_MERGING = 1.0  # a cosine is never above it
WIDTH, HEIGHT, MARGIN = 520, 240, 50


def frames_of(count: int, height: int, width: int) -> tuple[list[np.ndarray], np.ndarray]:
    """A noisy texture that moves, with a disc on it; and the mask of the disc in the first frame."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (height, 2 * width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    frames, mask = [], np.zeros((height, width), np.int32)
    for index in range(count):
        disc = np.hypot(y - height / 2, x - width / 2 - width / 5 * np.sin(index / 30)) < height / 5
        frame = np.roll(texture, 3 * index, axis=1)[:, :width].copy()
        frame[disc] = (230, 210, 90)
        frames.append(frame)
        if index == 0:
            mask = disc.astype(np.int32)
    return frames, mask


def measure(budget: int, frames: list[np.ndarray], mask: np.ndarray) -> tuple[int, float]:
    """Entries of all banks after the last frame, and seconds a frame."""
    predictor = choose_model("propagate", None, "cpu", "auto").predictor(
        short_side=None, budget=budget, merge_threshold=NO_MERGING
    )
    predictor.start(image_tensor(frames[0]), torch.from_numpy(mask))
    times = []
    for frame in frames[1:]:
        begin = time.perf_counter()
        predictor.step(image_tensor(frame))
        times.append(time.perf_counter() - begin)
    return sum(predictor.bank.sizes), statistics.median(times[-50:])


def picture(rows: list[tuple[int, int, float]]) -> str:
    """Both curves as SVG, the budget on a logarithmic axis."""
    logs = np.log10([row[0] for row in rows])
    xs = MARGIN + (WIDTH - 2 * MARGIN) * (logs - logs[0]) / (logs[-1] - logs[0])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    ]
    for column, color, label in ((1, "#0072b2", "entries"), (2, "#d55e00", "milliseconds a frame")):
        values = np.array([row[column] for row in rows], float) * (1000 if column == 2 else 1)
        ys = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * values / values.max()
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        top = 16 * column
        parts.append(f'<text x="{MARGIN}" y="{top}" fill="{color}">{label}, up to {values.max():,.0f}</text>')
    for x, (budget, _, _) in zip(xs, rows, strict=True):
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{budget:,}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">--budget</text></svg>\n')
    return "".join(parts)


def main() -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--size", default="240x426")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    height, width = (int(part) for part in arguments.size.split("x"))
    frames, mask = frames_of(arguments.frames, height, width)
    rows = [(budget, *measure(budget, frames, mask)) for budget in BUDGETS]
    table = Table("budget", "entries", "ms a frame", "ratio", title=f"{width}x{height}, {arguments.frames} frames")
    for budget, entries, seconds in rows:
        table.add_row(f"{budget:,}", f"{entries:,}", f"{1000 * seconds:.1f}", f"{seconds / rows[0][2]:.2f}")
    Console().print(table)
    if arguments.output is not None:
        write_text_atomic(arguments.output, picture(rows))


if __name__ == "__main__":
    main()
