"""One look at a GPU in at most 8 minutes: speed of every command beside its peer, where the time goes, memory.

    python benchmarks/gpu.py [--device cuda] [--precision bf16] [--minutes 8] [--parts propagate,instance,...]
    python benchmarks/gpu.py --device cpu --tiny        # tries this program itself on small networks and pictures

Parts:

* propagate: frames a second of 854x480 with the published sizes (1, 3, 6 objects) and the compact network, and against
  the plain order of the paper's code on the same device (`plain_afb_urr.py`, fp32).
* instance, track: images and frames a second of 512x512 with 100 instances, masks included, beside Mask R-CNN R50-FPN.
* fewshot: queries a second of 512x512, with five supports.
* command: a whole `vosseg propagate` on a clip of JPEG files: frames a second, the share of the time that the device
  computes (CUDA only), and milliseconds per frame for reading, copying, the network, taking into the bank, writing.
* memory: peak of the device's memory against the number of frames and of objects (CUDA only).

All weights are random. Times are those of the median step, after steps that are not timed, with the device finished.
What is left out for lack of time or of a GPU is said.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from plain_afb_urr import PlainPropagation, one_hot_classes
from propagate import filled_network, first_ids
from rich.console import Console
from torch import Tensor
from torchvision.models.detection import maskrcnn_resnet50_fpn

from vossegcli.io.masks.label_maps import write_label_map
from vossegcli.io.media.images import read_image
from vossegcli.models.devices import resolve_device, resolve_precision
from vossegcli.ops.images import to_pixels
from vossegcli.ops.precision import autocast
from vossegcli.systems.afb_urr.config import COMPACT, PUBLISHED
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.b2inst.config import CONFIGS as INSTANCE_CONFIGS
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.b2inst.predict import B2InstPredictor
from vossegcli.systems.fwb.config import CONFIGS as FEW_SHOT_CONFIGS
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.mobileinst.config import CONFIGS as TRACK_CONFIGS
from vossegcli.systems.mobileinst.model import MobileInst
from vossegcli.systems.mobileinst.predict import MobileInstTracker

MEBI = 2**20


@dataclass(frozen=True)
class Setting:
    """What is measured on, and how much.

    Attributes:
        device: to work on.
        precision: of the networks.
        frame: (H,W) of frames.
        image: side of images.
        steps: that are timed.
        objects: numbers of objects.
        instances: found in an image.
        lengths: numbers of frames for the memory.
        tiny: only the compact networks.
    """

    device: torch.device
    precision: torch.dtype
    frame: tuple[int, int]
    image: int
    steps: int
    objects: tuple[int, ...]
    instances: int
    lengths: tuple[int, ...]
    tiny: bool

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU of CUDA."""
        return self.device.type == "cuda"

    def finish(self) -> None:
        """Wait for the device."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], before: int = 2) -> float:
        """Median time of some work, the device finished."""
        times = []
        for step in range(before + self.steps):
            self.finish()
            began = time.perf_counter()
            work()
            self.finish()
            if step >= before:
                times.append(time.perf_counter() - began)
        return statistics.median(times)


def clip(setting: Setting, count: int) -> list[Tensor]:
    """Smooth noise that moves, (3,H,W) in [0, 1]."""
    height, width = setting.frame
    coarse = torch.rand(1, 3, max(2, height // 8), max(2, width // 8), generator=torch.Generator().manual_seed(1))
    texture = torch.nn.functional.interpolate(coarse, size=setting.frame, mode="bicubic").clamp(0.0, 1.0)[0]
    return [texture.roll(4 * t, dims=2) for t in range(count)]


def networks(setting: Setting) -> Iterator[tuple[str, AFBURR]]:
    """The networks of `propagate` with random weights."""
    torch.manual_seed(0)
    if not setting.tiny:
        yield "published", filled_network().to(setting.device)
    yield "compact", AFBURR(COMPACT).eval().to(setting.device)


def propagate(setting: Setting) -> Iterator[str]:
    """Frames a second beside the plain order."""
    frames = [frame.to(setting.device) for frame in clip(setting, 2)]
    for name, network in networks(setting):
        for objects in setting.objects:
            ids = first_ids(objects, *setting.frame).to(setting.device)
            plain = 0.0
            if network.config == PUBLISHED:
                run = PlainPropagation(network)
                run.start(frames[0], one_hot_classes(ids, range(1, objects + 1)))

                def plain_step(run: PlainPropagation = run) -> None:
                    run.remember(frames[1], run.step(frames[1])[1])

                plain = setting.seconds(plain_step)
            predictor = AFBURRPredictor(network, precision=setting.precision)
            predictor.start(frames[0], ids)
            ours = setting.seconds(lambda predictor=predictor: predictor.step(frames[1]))
            beside = f", {plain / ours:.2f} times as fast as the plain order ({1 / plain:.1f})" if plain else ""
            yield f"{name}, {objects} objects: {1 / ours:.1f} frames/s{beside}"


def mask_rcnn(setting: Setting) -> float:
    """Seconds per image of the peer."""
    network = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=setting.image, max_size=setting.image, box_score_thresh=0.0,
        box_nms_thresh=1.0, box_detections_per_img=setting.instances, rpn_nms_thresh=0.99,
    ).eval().to(setting.device)  # fmt: skip
    image = torch.rand(3, setting.image, setting.image, device=setting.device)
    with torch.inference_mode(), autocast(setting.device, setting.precision):
        return setting.seconds(lambda: network([image]))


def instance(setting: Setting) -> Iterator[str]:
    """Images a second beside Mask R-CNN."""
    peer = mask_rcnn(setting)
    yield f"Mask R-CNN R50-FPN: {1 / peer:.1f} images/s"
    image = torch.rand(1, 3, setting.image, setting.image, device=setting.device)
    for name in ("compact",) if setting.tiny else ("r50", "compact"):
        model = B2Inst(replace(INSTANCE_CONFIGS[name], nms_threshold=1.0)).to(setting.device)
        predictor = B2InstPredictor(
            model, precision=setting.precision, short_side=0, score_threshold=0.0, top_k=setting.instances
        )
        for together in (1,) if setting.tiny else (1, 8):
            batch = image.expand(together, -1, -1, -1)
            ours = setting.seconds(lambda batch=batch, predictor=predictor: predictor.predict(batch)) / together
            yield f"B2Inst {name}, {together} at a time: {1 / ours:.1f} images/s, {peer / ours:.2f} times Mask R-CNN"


def track(setting: Setting) -> Iterator[str]:
    """Frames a second beside Mask R-CNN."""
    peer = mask_rcnn(setting)
    frame = torch.rand(3, setting.image, setting.image, device=setting.device)
    for window in (1, 3):
        model = MobileInst(replace(TRACK_CONFIGS["compact"], birth_threshold=0.0)).to(setting.device)
        tracker = MobileInstTracker(model, short_side=0, score_threshold=0.0, top_k=setting.instances, key_every=window)
        ours = setting.seconds(lambda: [tracker.step(frame) for _ in range(window)]) / window  # noqa: B023
        yield f"MobileInst compact, T = {window}: {1 / ours:.1f} frames/s, {peer / ours:.2f} times Mask R-CNN"


def fewshot(setting: Setting) -> Iterator[str]:
    """Queries a second."""
    shape = (3, setting.image, setting.image)
    images = [torch.rand(shape, device=setting.device) for _ in range(5)]
    masks = [torch.rand(shape[1:], device=setting.device) > 0.5 for _ in range(5)]
    predictor = FWBPredictor(FWB(FEW_SHOT_CONFIGS["compact"]).to(setting.device), precision=setting.precision)
    began = time.perf_counter()
    predictor.fit(images, masks)
    setting.finish()
    yield f"five supports: {time.perf_counter() - began:.2f} s"
    for together in (1, 8):
        batch = torch.rand(together, *shape, device=setting.device)
        ours = setting.seconds(lambda batch=batch: predictor.predict(batch)) / together
        yield f"compact, {together} at a time: {1 / ours:.1f} queries/s"


def command(setting: Setting) -> Iterator[str]:
    """Where the time of a frame goes, and how busy the device is."""
    _, network = list(networks(setting))[0]
    predictor = AFBURRPredictor(network, precision=setting.precision)
    objects = min(3, max(setting.objects))
    ids = first_ids(objects, *setting.frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.jpg"
        frame = clip(setting, 1)[0]
        Image.fromarray(to_pixels(frame)).save(path, quality=92)
        image = torch.from_numpy(read_image(path)).permute(2, 0, 1)
        predictor.start(image, ids)
        label_map = predictor.step(image).label_map
        parts = {
            "read": lambda: read_image(path),
            "copy": lambda: image.to(setting.device),
            "step with the bank": lambda: predictor.step(image),
            "bank": lambda: memorise(predictor),
            "copy back": lambda: label_map.to(torch.uint8).cpu(),
            "write": lambda: write_label_map(Path(folder) / "mask.png", label_map.to(torch.uint8).cpu().numpy()),
        }
        for name, work in parts.items():
            yield f"{name}: {1000 * setting.seconds(work):.2f} ms"
        if not setting.is_cuda:
            yield "share of the time that the device computes: needs CUDA"
            return
        yield f"device busy: {100 * busy_share(setting, lambda: predictor.step(image)):.0f} % of a step"


@torch.inference_mode()
def memorise(predictor: AFBURRPredictor) -> None:
    """Take the newest frame into the bank, once more if it is there already."""
    newest = predictor._after_start()
    predictor._newest = replace(newest, memorised=False, index=0)
    predictor._memorised()


def busy_share(setting: Setting, work: Callable[[], object]) -> float:
    """Share of the time of some work in which the device computes, by torch's profiler."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        setting.finish()
        began = time.perf_counter()
        for _ in range(setting.steps):
            work()
        setting.finish()
        wall = time.perf_counter() - began
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / wall


def memory(setting: Setting) -> Iterator[str]:
    """Peak of the device's memory."""
    if not setting.is_cuda:
        yield "needs CUDA"
        return
    _, network = list(networks(setting))[-1]
    frame = clip(setting, 1)[0]
    for length, objects in [(n, 1) for n in setting.lengths] + [(setting.lengths[0], k) for k in (5, 20)]:
        torch.cuda.reset_peak_memory_stats(setting.device)
        predictor = AFBURRPredictor(network, precision=setting.precision)
        predictor.start(frame, first_ids(objects, *setting.frame))
        for _ in range(length):
            predictor.step(frame)
        setting.finish()
        peak = torch.cuda.max_memory_allocated(setting.device) / MEBI
        yield f"compact, {length} frames, {objects} objects: {peak:.0f} MiB"


PARTS = {part.__name__: part for part in (propagate, instance, track, fewshot, command, memory)}


def main() -> None:
    """Run the parts while there is time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--tiny", action="store_true", help="small pictures and networks, one step")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    precision = resolve_precision(arguments.precision, device)
    large = Setting(device, precision, (480, 854), 512, 20, (1, 3, 6), 100, (50, 200, 500), tiny=False)
    small = Setting(device, precision, (64, 96), 96, 1, (1,), 5, (2, 4), tiny=True)
    console = Console(width=120, highlight=False)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    console.print(f"{name}, {str(precision).removeprefix('torch.')}, torch {torch.__version__}")
    torch.backends.cudnn.benchmark = True
    began = time.perf_counter()
    for part in arguments.parts.split(","):
        console.print(f"[bold]{part}[/bold]")
        for line in PARTS[part](small if arguments.tiny else large):
            console.print(f"  {line}")
            if time.perf_counter() - began > 60 * arguments.minutes:
                console.print("  no more time: the rest is left out")
                return


if __name__ == "__main__":
    main()
