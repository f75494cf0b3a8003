"""What boosting costs: the time of a few-shot job with it, and without.

    python benchmarks/fewshot.py [--config compact|vgg16|resnet101] [--shots 5] [--queries 100] [--size 512]
        [--short-side N]

The supports are fitted once, then every query is segmented, on random images with random weights: neither changes the
work. Both ways take turns, query by query, so that other load on the machine meets them alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from vossegcli.models.devices import resolve_device, resolve_precision
from vossegcli.systems.fwb.config import CONFIGS
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Time an action to its end on the device."""
    began = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=list(CONFIGS), default="compact")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--short-side", type=int, help="work at this one; 0 = native (default: the configuration's)")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    device = resolve_device("auto")
    precision = resolve_precision(arguments.precision, device)
    generator = torch.Generator().manual_seed(0)
    shape = (3, arguments.size, arguments.size)
    images = [torch.rand(shape, generator=generator) for _ in range(arguments.shots)]
    masks = [torch.rand(shape[1:], generator=generator) > 0.5 for _ in range(arguments.shots)]
    query = torch.rand((1, *shape), generator=generator)
    torch.manual_seed(0)
    network = FWB(CONFIGS[arguments.config]).to(device)
    ways = {
        name: FWBPredictor(network, precision=precision, boosting=name == "with", short_side=arguments.short_side)
        for name in ("without", "with")
    }
    for predictor in ways.values():  # warm up
        predictor.fit(images[:1], masks[:1])
        predictor.predict(query)
        predictor.clear()
    fit = {name: seconds(lambda p=p: p.fit(images, masks), device) for name, p in ways.items()}  # type: ignore[misc]
    predict = dict.fromkeys(ways, 0.0)
    for _ in range(arguments.queries):
        for name, predictor in ways.items():
            predict[name] += seconds(lambda p=predictor: p.predict(query), device)  # type: ignore[misc]
    table = Table("boosting", "fit (s)", "a query (ms)", "whole job (s)", box=None)
    for name in ways:
        row = (fit[name], 1000 * predict[name] / arguments.queries, fit[name] + predict[name])
        table.add_row(name, *(f"{value:.2f}" for value in row))
    console = Console()
    drawn = f"{network.config.draws} draws of {network.config.steps} steps"
    console.print(
        f"{arguments.config}, {arguments.shots} supports, {drawn}, {arguments.queries} queries of "
        f"{arguments.size}x{arguments.size}, {device.type}, {str(precision).removeprefix('torch.')}"
    )
    console.print(table)
    ratio = (fit["with"] + predict["with"]) / (fit["without"] + predict["without"])
    console.print(f"with boosting the job takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
