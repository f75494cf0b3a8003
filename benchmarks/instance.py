"""Speed and memory of B2Inst beside torchvision's Mask R-CNN R50-FPN, on images of one size.

    python benchmarks/instance.py [--size 800x1066] [--instances 10,100,500] [--repeats 3]

All networks have random weights and give a fixed number of instances (no threshold, no suppression), masks included:
Mask R-CNN pastes its masks into the image, B2Inst's go to run-length encodings, which is what `vosseg instance` does.
Each measurement has a process of its own, for the peak of its memory; the networks take turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from torchvision.models.detection import maskrcnn_resnet50_fpn

from vossegcli.batch.run import peak_memory_mib
from vossegcli.io.results.instances import coco_results
from vossegcli.ops.masks import pasted_instances
from vossegcli.systems.b2inst.config import CONFIGS
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.b2inst.predict import B2InstPredictor

NETWORKS = ("Mask R-CNN R50-FPN", "r50", "compact")


def measure(name: str, size: tuple[int, int], count: int, repeats: int, precision: str) -> dict[str, float]:
    """Seconds an image (the best of some) and the peak of memory in MiB."""
    torch.manual_seed(0)
    image = torch.rand(3, *size)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    if name == NETWORKS[0]:
        network = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, min_size=min(size), max_size=max(size), box_score_thresh=0.0,
            box_nms_thresh=1.0, box_detections_per_img=count, rpn_nms_thresh=0.99,
        ).eval()  # fmt: skip

        def run() -> int:
            with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=precision != "fp32"):
                return int(len(network([image])[0]["masks"]))
    else:
        model = B2Inst(replace(CONFIGS[name], nms_threshold=1.0))
        predictor = B2InstPredictor(model, precision=dtype, short_side=0, score_threshold=0.0, top_k=count)

        def run() -> int:
            (found,) = predictor.predict(image.unsqueeze(0))
            return len(list(coco_results(pasted_instances(found, size), size, 1, range(1, 81)))) and len(found.boxes)

    found = run()
    if found != count:
        sys.exit(f"{name} gives {found} instances instead of {count}")
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return {"seconds": min(times), "memory": peak_memory_mib() or 0.0}


def main() -> None:
    """Print images a second, the ratio to Mask R-CNN, and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="800x1066", help="height x width")
    parser.add_argument("--instances", default="10,100,500")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--only", nargs=2, metavar=("NETWORK", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    height, width = (int(part) for part in arguments.size.split("x"))
    if arguments.only:
        name, count = arguments.only
        print(json.dumps(measure(name, (height, width), int(count), arguments.repeats, arguments.precision)))  # noqa: T201
        return
    table = Table("instances", "network", "images/s", "x Mask R-CNN", "peak MiB", box=None)
    for count in arguments.instances.split(","):
        baseline = 0.0
        for name in NETWORKS:
            command = [sys.executable, *sys.argv, "--only", name, count]
            result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
            baseline = baseline or result["seconds"]
            table.add_row(
                count, name, f"{1 / result['seconds']:.2f}", f"{baseline / result['seconds']:.2f}",
                f"{result['memory']:.0f}",
            )  # fmt: skip
    console = Console()
    console.print(f"{arguments.size}, cpu, {torch.get_num_threads()} threads, {arguments.precision}")
    console.print(table)


if __name__ == "__main__":
    main()
