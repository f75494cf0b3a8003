"""Time a frame of MobileInst beside B2Inst and torchvision's Mask R-CNN R50-FPN, and through onnxruntime.

    python benchmarks/track.py [--size 512x512] [--config compact] [--frames 12] [--threads 1] [--precision fp32]
                               [--busy]

All networks have random weights, and freed memory is kept as in the commands. The peers and onnxruntime compute in
fp32, ours in `--precision`. MobileInst follows a video with new kernels on every frame (T = 1), or on every third or
sixth one; on the frames between only backbone and mask decoder run. The last row for each is the exported pair of
graphs (needs vosseg[onnx]). Every row is measured in a process of its own: the mean over the frames after a warm-up of
one clip of six frames; with `--busy` the CPU time of the fastest clip, for a machine that other programs use.
Parameters and multiply-adds (of one frame; for T > 1 the mean) are counted by torch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count
from torchvision.models.detection import maskrcnn_resnet50_fpn

from vossegcli.batch.freed_memory import keep_freed_memory
from vossegcli.models.devices import resolve_precision
from vossegcli.runners.checkpoints.export import write_onnx
from vossegcli.systems.b2inst.config import R50
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.b2inst.predict import B2InstPredictor
from vossegcli.systems.mobileinst.config import CONFIGS
from vossegcli.systems.mobileinst.export import graphs
from vossegcli.systems.mobileinst.model import MobileInst
from vossegcli.systems.mobileinst.predict import MobileInstTracker

WINDOWS = (1, 3, 6)
INSTANCES = 100
FUSED = torch.ops.mkldnn._convolution_pointwise
PEERS = ("Mask R-CNN R50-FPN", "B2Inst r50")

Step = Callable[[Tensor], object]


def peer(name: str, size: tuple[int, int]) -> tuple[Step, nn.Module]:
    """A network for images that gives a fixed number of instances."""
    if name == PEERS[0]:
        network = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, min_size=min(size), max_size=max(size), box_score_thresh=0.0,
            box_nms_thresh=1.0, box_detections_per_img=INSTANCES, rpn_nms_thresh=0.99,
        ).eval()  # fmt: skip
        return lambda frame: network([frame]), network
    model = B2Inst(replace(R50, nms_threshold=1.0))
    predictor = B2InstPredictor(model, short_side=0, score_threshold=0.0, top_k=INSTANCES)
    return lambda frame: predictor.predict(frame.unsqueeze(0)), predictor.model


def tracker(config: str, window: int, precision: torch.dtype) -> tuple[Step, nn.Module]:
    """MobileInst that is sure of as many instances as are asked for."""
    model = MobileInst(replace(CONFIGS[config], birth_threshold=0.0))
    predictor = MobileInstTracker(
        model, precision=precision, short_side=0, score_threshold=0.0, top_k=INSTANCES, key_every=window
    )
    return predictor.step, model


def exported(config: str, window: int, size: tuple[int, int]) -> Step:
    """The two graphs in onnxruntime; what they give is not turned into instances."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    sessions = []
    with tempfile.TemporaryDirectory() as folder:
        for graph in graphs(MobileInst(CONFIGS[config]).eval(), size):
            path = Path(folder) / f"{graph.name}.onnx"
            write_onnx(graph, path)
            sessions.append(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    key, reuse = sessions
    state: dict[str, object] = {"frame": 0}

    def step(frame: Tensor) -> object:
        images = frame.unsqueeze(0).numpy()
        if int(str(state["frame"])) % window == 0:
            state["kernels"] = key.run(None, {"images": images})[0]
        else:
            reuse.run(None, {"images": images, "kernels": state["kernels"]})
        state["frame"] = int(str(state["frame"])) + 1
        return state

    return step


def _fused_flops(
    x: torch.Size, second: torch.Size, third: torch.Size | None, *_: object, out_shape: torch.Size, **__: object
) -> int:
    """Operations of a convolution that oneDNN joins with what follows it, which torch does not count."""
    weight = third if third is not None and len(third) == len(x) else second  # a map that is added comes before it
    return conv_flop_count(list(x), list(weight), list(out_shape))


def measure(name: str, arguments: argparse.Namespace, size: tuple[int, int]) -> dict[str, float]:
    """Milliseconds a frame; millions of parameters; billions of multiply-adds."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    kind, _, number = name.rpartition(" T=")
    window = int(number) if kind else 1
    length = max(WINDOWS) if kind else 1  # of a clip
    clock = time.process_time if arguments.busy else time.perf_counter
    network: nn.Module | None = None
    if name in PEERS:
        step, network = peer(name, size)
    elif kind == "onnx":
        step = exported(arguments.config, window, size)
    else:
        step, network = tracker(arguments.config, window, resolve_precision(arguments.precision, torch.device("cpu")))
    video = [*torch.rand(window, 3, *size)] * (length // window)
    with torch.inference_mode():
        for frame in video:
            step(frame)
        clips = []
        for _ in range(max(1, arguments.frames // length)):
            began = clock()
            for frame in video:
                step(frame)
            clips.append((clock() - began) / length)
        seconds = min(clips) if arguments.busy else sum(clips) / len(clips)
        found = {"ms": 1e3 * seconds, "parameters": 0.0, "multiply_adds": 0.0}
        if network is not None:
            with FlopCounterMode(display=False, custom_mapping={FUSED: _fused_flops}) as counter:
                for frame in video:
                    step(frame)
            found["parameters"] = sum(p.numel() for p in network.parameters()) / 1e6
            found["multiply_adds"] = counter.get_total_flops() / 2e9 / length
    return found


def main() -> None:
    """Print milliseconds a frame and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512x512", help="height x width, multiples of 64")
    parser.add_argument("--config", choices=tuple(CONFIGS), default="compact")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--busy", action="store_true", help="print CPU time, of the fastest clip")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    height, width = (int(part) for part in arguments.size.split("x"))
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments, (height, width))))  # noqa: T201
        return
    names = [*PEERS, *(f"{kind} T={window}" for kind in (arguments.config, "onnx") for window in WINDOWS)]
    table = Table("network", "ms a frame", f"x {PEERS[0]}", "M parameters", "G multiply-adds", box=None)
    baseline = 0.0
    for name in names:
        command = [sys.executable, *sys.argv, "--only", name]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            table.add_row(name, f"failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        baseline = baseline or result["ms"]
        table.add_row(
            name, f"{result['ms']:.0f}", f"{baseline / result['ms']:.2f}",
            *(f"{result[key]:.1f}" if result[key] else "" for key in ("parameters", "multiply_adds")),
        )  # fmt: skip
    console = Console(width=120)
    console.print(f"{arguments.size}, {arguments.precision}, cpu, {arguments.threads} threads")
    console.print(table)


if __name__ == "__main__":
    main()
