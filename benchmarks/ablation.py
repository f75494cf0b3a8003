"""What each addition of the compact configuration is worth: short trainings that differ in one thing.

    python benchmarks/ablation.py --data COCO.json [--data ...] [--matching 300] [--steps 300] [--size 160]

Every variant starts from the same seed, sees the same clips in the same order and takes the same number of steps;
"matching first" is the one that costs more than the others. J is the mean over held-out synthetic clips, segmented as
in use (8 frames; the same clips for all), and over the annotated frames of `examples/bunny`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from vossegcli.data.clips import ClipSpec, ClipStream, split_by_source
from vossegcli.io.masks.label_maps import read_label_map, read_mask_folder
from vossegcli.io.media.images import read_image
from vossegcli.io.weights.pretrained import read_imagenet
from vossegcli.metrics.regions import region_similarity
from vossegcli.models.devices import resolve_precision
from vossegcli.ops.images import image_tensor
from vossegcli.runners.train.run import read_images
from vossegcli.runners.train.samples import VALIDATION_STEP, segment_clip
from vossegcli.systems.afb_urr import SYSTEM
from vossegcli.systems.afb_urr.config import COMPACT, AFBURRConfig
from vossegcli.training.loop import Trainer, set_training_mode
from vossegcli.training.settings import Stage, TrainingSettings

BUNNY = Path(__file__).parents[1] / "examples" / "bunny"
BATCH, FRAMES, TEST_FRAMES, TEST_BATCHES, TEST_SIZE = 8, 3, 8, 8, 256
DEVICE = torch.device("cpu")


@dataclass(frozen=True)
class Variant:
    """One training: network, ImageNet's weights or none, matching first or not, share of cut-outs nobody annotated."""

    name: str
    config: AFBURRConfig = COMPACT
    imagenet: bool = True
    matching: bool = True
    pseudo_objects: float = 0.45


VARIANTS = (
    Variant("all additions"),
    Variant("from scratch", imagenet=False),
    Variant("without matching first", matching=False),
    Variant("without unsupervised objects", pseudo_objects=0.0),
    Variant("without the local read of the newest frame", config=replace(COMPACT, locality=None)),
    Variant("without the target model", config=replace(COMPACT, target=None)),
    Variant("without the annotated frames' read", config=replace(COMPACT, annotated_read=False, cut_similarity=0.0)),
    Variant(
        "without masks in the memory",
        config=replace(
            COMPACT, locality=None, annotated_read=False, cut_similarity=0.0, mask_cells=0, target=None, decode_near=0.0
        ),
    ),
)


def train(variant: Variant, images: list, arguments: argparse.Namespace) -> nn.Module:  # type: ignore[type-arg]
    """Train a variant and return the averaged network."""
    common = {"batch": BATCH, "size": arguments.size, "frames": FRAMES}
    stages = (Stage("segmentation", "segmentation", arguments.steps, learning_rate=6e-4, **common),)
    if variant.matching:
        stages = (Stage("matching", "correspondence", arguments.matching, learning_rate=1e-3, **common), *stages)
    settings = TrainingSettings("compact", stages, pseudo_objects=variant.pseudo_objects, ema=0.99)
    torch.manual_seed(settings.seed)
    network = SYSTEM.build(variant.config).to(memory_format=torch.channels_last)
    if variant.imagenet:
        SYSTEM.starts["imagenet"](network, read_imagenet(SYSTEM.imagenet_backbone(variant.config)))
    trainer = Trainer(network, settings, SYSTEM.backbone)
    stream = ClipStream(images, variant.pseudo_objects, settings.seed, DEVICE)
    # The segmentation's clips are those after the longest run of matching, whether that is run or not.
    first = 0 if variant.matching else arguments.matching
    spec = ClipSpec(BATCH, arguments.size, FRAMES, 2)
    precision = resolve_precision("auto", DEVICE)
    for clips in stream.stream(first, first + settings.total_steps, lambda _: spec):
        stage, _ = settings.locate(trainer.step)
        set_training_mode(trainer.model, freeze_norm=variant.imagenet)
        trainer.train_step(SYSTEM.objectives[stage.objective], clips, precision)
    return trainer.average


@torch.inference_mode()
def synthetic_j(network: nn.Module, images: list) -> float:  # type: ignore[type-arg]
    """Mean J on held-out clips."""
    stream = ClipStream(images, 0.45, 99, DEVICE)
    predictor = SYSTEM.predictors["propagate"](network, precision=resolve_precision("auto", DEVICE))
    values: list[float] = []
    for index in range(TEST_BATCHES):
        clips = stream.batch(VALIDATION_STEP + index, ClipSpec(4, TEST_SIZE, TEST_FRAMES, 2))
        for clip in range(4):
            if bool(clips.labels[clip, 0].any()):
                values += segment_clip(predictor, clips, clip)[1]
    return float(np.mean(values))


@torch.inference_mode()
def bunny_j(network: nn.Module) -> float:
    """Mean J on the annotated frames of the example after the first."""
    masks = {name: read_label_map(path).ids_map for name, path in read_mask_folder(BUNNY / "masks").items()}
    predictor = SYSTEM.predictors["propagate"](network, precision=resolve_precision("auto", DEVICE))
    values = []
    for index, path in enumerate(sorted((BUNNY / "frames").iterdir())):
        frame = image_tensor(read_image(path))
        if index == 0:
            predictor.start(frame, torch.from_numpy(masks[path.stem].astype(np.int64)))
            continue
        predicted = predictor.step(frame).label_map.numpy()
        if path.stem in masks:
            values.append(region_similarity(predicted, masks[path.stem], (1,))[1])
    return float(np.mean(values))


def main() -> None:
    """Train all variants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--matching", type=int, default=300)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=160)
    arguments = parser.parse_args()
    training, held_out = split_by_source(read_images(arguments.data, "propagate").images, TrainingSettings.holdout)
    table = Table("variant", "synthetic J", "bunny J", "minutes", box=None)
    console = Console()
    for variant in VARIANTS:
        began = time.monotonic()
        network = train(variant, training, arguments)
        minutes = (time.monotonic() - began) / 60
        row = (variant.name, f"{synthetic_j(network, held_out):.3f}", f"{bunny_j(network):.3f}", f"{minutes:.1f}")
        console.print(" · ".join(row))
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
