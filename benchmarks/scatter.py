"""What torch-scatter brings: means of rows by index, in plain torch and by its kernel.

    pip install setuptools wheel hatchling
    pip install --no-build-isolation '.[scatter]'
    python benchmarks/scatter.py [--frames examples/bunny/frames] [--mask examples/bunny/masks/00000.png]

`propagate` merges similar features in its bank with such means. All of a real run are recorded and computed again in
both ways, which take turns; then frames of the run itself, likewise. The median is printed. Further rows are means
of the published network's size (1,620 cells of a frame of 854x480, 512 channels).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.media.frames import open_frames
from vossegcli.io.media.sequences import find_sequences
from vossegcli.models.chosen_model import choose_model
from vossegcli.ops import scatter
from vossegcli.ops.images import image_tensor
from vossegcli.systems.afb_urr import entries

Means = Callable[[Tensor, Tensor, int], Tensor]
CALLS = 100
TURNS = 7
PUBLISHED = ((1620, 512, 200), (1620, 512, 1500), (16200, 512, 5000))  # features, channels, entries


def both_ways() -> dict[str, Means]:
    """The two implementations.

    Raises:
        SystemExit: torch-scatter is not installed.
    """
    if scatter._scatter_mean is None:
        raise SystemExit("torch-scatter is not installed: see the docstring")
    return {"torch": scatter.mean_by_index_native, "torch-scatter": scatter.mean_by_index}


def run(frames: Path, mask: Path, means: Means, limit: int) -> list[float]:
    """Segment the first frames of a video with one implementation; return seconds of each step."""
    reader = open_frames(find_sequences(frames)[0])
    predictor: Any = choose_model("propagate", None, "cpu", "auto").predictor()
    entries.mean_by_index = means
    times = []
    for index, frame in enumerate(reader.iterate(0, limit)):
        if not index:
            predictor.start(image_tensor(frame.image), torch.from_numpy(read_label_map(mask).ids_map.astype("int32")))
            continue
        began = time.process_time()
        predictor.step(image_tensor(frame.image))
        times.append(time.process_time() - began)
    entries.mean_by_index = scatter.mean_by_index
    return times


def recorded(frames: Path, mask: Path, limit: int) -> tuple[list[tuple[Tensor, Tensor, int]], int]:
    """All means that a run computes, at most CALLS, and how many there were."""
    calls: list[tuple[Tensor, Tensor, int]] = []

    def means(rows: Tensor, index: Tensor, groups: int) -> Tensor:
        calls.append((rows.clone(), index.clone(), groups))
        return scatter.mean_by_index_native(rows, index, groups)

    run(frames, mask, means, limit)
    return calls[:: max(1, len(calls) // CALLS)], len(calls)


def compared(ways: dict[str, Means], calls: list[tuple[Tensor, Tensor, int]]) -> dict[str, float]:
    """Median CPU time of one call in microseconds, both ways in turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for turn in range(TURNS + 1):
            for name, means in ways.items():
                began = time.process_time()
                for call in calls:
                    means(*call)
                if turn:  # the first one warms up
                    times[name].append(1e6 * (time.process_time() - began) / len(calls))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Print a row for each kind of call, and one for whole frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, default=Path("examples/bunny/frames"))
    parser.add_argument("--mask", type=Path, default=Path("examples/bunny/masks/00000.png"))
    parser.add_argument("--limit", type=int, default=16, help="frames of the run")
    arguments = parser.parse_args()
    ways = both_ways()
    torch.manual_seed(0)
    calls, count = recorded(arguments.frames, arguments.mask, arguments.limit)
    table = Table("", *ways, "ratio", box=None, title="CPU time")
    if calls:
        rows = [f"{round(statistics.mean(values)):,}" for values in zip(*map(sizes, calls), strict=True)]
        found = compared(ways, calls)
        per_frame = count / (arguments.limit - 1)
        shown = f"{rows[0]} rows of {rows[1]} into {rows[2]}, of a run ({per_frame:.1f} a frame)"
        table.add_row(shown, *(f"{v:.0f} us" for v in found.values()), f"{ratio(found):.2f}")
    for features, channels, groups in PUBLISHED:
        call = torch.randn(features, channels), torch.randint(0, groups, (features,)), groups
        found = compared(ways, [call] * 10)
        shown = f"{features:,} rows of {channels} into {groups:,}"
        table.add_row(shown, *(f"{v:.0f} us" for v in found.values()), f"{ratio(found):.2f}")
    steps: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(3):
        for name, means in ways.items():
            took = run(arguments.frames, arguments.mask, means, arguments.limit)
            steps[name] += took if turn else []
    found = {name: 1000 * statistics.median(times) for name, times in steps.items()}
    table.add_row("a frame of propagate", *(f"{v:.0f} ms" for v in found.values()), f"{ratio(found):.2f}")
    Console().print(table)


def sizes(call: tuple[Tensor, Tensor, int]) -> tuple[int, int, int]:
    """Rows, channels and groups of a call."""
    return call[0].shape[0], call[0].shape[1], call[2]


def ratio(found: dict[str, float]) -> float:
    """The time of plain torch over that of torch-scatter."""
    return found["torch"] / found["torch-scatter"]


if __name__ == "__main__":
    main()
