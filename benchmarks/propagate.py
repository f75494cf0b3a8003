"""Speed of `vosseg propagate` against the plain order of the paper's code, and its memory over time.

    python benchmarks/propagate.py [--objects 1 3 6] [--frames 3] [--threads 2]
    python benchmarks/propagate.py --memory [--lengths 100 1000 5000]

Both print ratios that are measured in one run on one machine; see README.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from memory import report_memory
from PIL import Image
from plain_afb_urr import PlainPropagation, one_hot_classes
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vossegcli.ops.images import image_tensor
from vossegcli.systems.afb_urr.config import PUBLISHED
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor

BUNNY = Path(__file__).parents[1] / "examples" / "bunny" / "frames"
HEIGHT, WIDTH = 480, 854


@dataclass
class Variant:
    """One way to do the same work, and what it took.

    Attributes:
        name: in the table.
        start: takes a frame (3,H,W) and its ids (H,W).
        step: takes the next frame and gives its ids (H,W).
        seconds: of each timed step.
        cpu_seconds: of each timed step, all threads together.
        label_maps: of each timed step.
    """

    name: str
    start: Callable[[Tensor, Tensor], None]
    step: Callable[[Tensor], Tensor]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    label_maps: list[Tensor] = field(default_factory=list)

    def timed_step(self, frame: Tensor) -> None:
        """Do a step and note what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.label_maps.append(self.step(frame))
        self.seconds.append(time.perf_counter() - wall)
        self.cpu_seconds.append(time.process_time() - cpu)


def filled_network() -> AFBURR:
    """A network of the published configuration whose weights follow from a seed and keep activations tame."""
    network = AFBURR(PUBLISHED).eval()
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, value in state.items():
        if value.ndim == 4 and not name.endswith((".mean", ".std")):  # convolutions: He initialisation
            value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5, generator=generator)
        elif name.endswith("bn3.weight"):  # the last scale of a residual branch: small, or the sums would grow
            value.fill_(0.2)
    network.load_state_dict(state)
    return network


def example_frames(count: int) -> list[Tensor]:
    """The first frames of the bunny example, or a moving texture where it is not at hand, each (3,H,W)."""
    paths = sorted(BUNNY.glob("*.jpg"))[:count]
    if len(paths) < count:
        return moving_texture(count)
    images = [np.array(Image.open(path).convert("RGB")) for path in paths]
    return [image_tensor(image) for image in images]


def moving_texture(count: int) -> list[Tensor]:
    """Smooth noise that moves 4 pixels a frame, (3,H,W) in [0, 1]."""
    coarse = torch.rand(1, 3, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(1))
    texture = torch.nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic").clamp(0.0, 1.0)[0]
    return [texture.roll(4 * t, dims=2) for t in range(count)]


def first_ids(objects: int, height: int, width: int) -> Tensor:
    """Ids (H,W) of upright rectangles side by side."""
    ids = torch.zeros(height, width, dtype=torch.int64)
    for k in range(objects):
        left, right = ((2 * k + j) * width // (2 * objects + 1) for j in (1, 2))
        ids[height // 4 : 3 * height // 4, left:right] = k + 1
    return ids


def plain_variant(network: AFBURR) -> Variant:
    """The baseline; it remembers a frame at the end of its step, ours at the beginning of the next one."""
    run = PlainPropagation(network)

    def start(frame: Tensor, ids: Tensor) -> None:
        run.start(frame, one_hot_classes(ids, range(1, int(ids.max()) + 1)))

    def step(frame: Tensor) -> Tensor:
        logits, probs = run.step(frame)
        run.remember(frame, probs)
        return logits.argmax(dim=0)

    return Variant("plain order, fp32", start, step)


def our_variant(network: AFBURR, precision: torch.dtype, name: str) -> Variant:
    """The predictor that the command uses."""
    predictor = AFBURRPredictor(network, precision=precision)
    return Variant(name, predictor.start, lambda frame: predictor.step(frame).label_map.long())


def measure(objects: int, frames: list[Tensor]) -> list[Variant]:
    """Run all variants, frame by frame in turn; the first step is not timed."""
    network = filled_network()
    variants = [
        plain_variant(network),
        our_variant(network, torch.float32, "vosseg, fp32"),
        our_variant(network, torch.bfloat16, "vosseg, bf16"),
    ]
    ids = first_ids(objects, *frames[0].shape[-2:])
    for variant in variants:
        variant.start(frames[0], ids)
        variant.step(frames[1])
    for frame in frames[2:]:
        for variant in variants:
            variant.timed_step(frame)
    return variants


def report_speed(counts: list[int], frame_count: int, console: Console) -> None:
    """Print frames a second, the ratio to the plain order, and how many pixels agree with it."""
    frames = example_frames(frame_count + 2)
    title = f"{WIDTH}x{HEIGHT}, {frame_count} frames, {torch.get_num_threads()} threads, published network"
    table = Table(
        "objects",
        "variant",
        "frames/s",
        "ratio",
        "CPU s a frame",
        "CPU ratio",
        "same pixels",
        title=title,
        box=None,
    )
    for objects in counts:
        variants = measure(objects, frames)
        plain = variants[0]
        for variant in variants:
            wall, cpu = (statistics.median(v) for v in (variant.seconds, variant.cpu_seconds))
            same = torch.stack(variant.label_maps) == torch.stack(plain.label_maps)
            table.add_row(
                str(objects) if variant is plain else "",
                variant.name,
                f"{1.0 / wall:.3f}",
                f"{statistics.median(plain.seconds) / wall:.2f}",
                f"{cpu:.2f}",
                f"{statistics.median(plain.cpu_seconds) / cpu:.2f}",
                f"{float(same.float().mean()):.4f}",
            )
    console.print(table)


def main(arguments: list[str]) -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3, 6])
    parser.add_argument("--frames", type=int, default=3, help="timed frames, after one that is not timed")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--memory", action="store_true", help="peak memory against the number of frames instead")
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1000, 5000])
    options = parser.parse_args(arguments)
    console = Console(width=110)
    if options.memory:
        report_memory(options.lengths, console)
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    report_speed(options.objects, options.frames, console)


if __name__ == "__main__":
    main(sys.argv[1:])
