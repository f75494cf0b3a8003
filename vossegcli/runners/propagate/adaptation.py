"""Adapts a network to the objects of a sequence, on clips made of its annotated frames, before it is segmented."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vossegcli.batch.work import Progress
from vossegcli.data.clips import ClipSpec
from vossegcli.data.scenes import Scene, SceneStream
from vossegcli.io.weights.checkpoints import read_state, write_tensors
from vossegcli.models.chosen_model import ChosenModel
from vossegcli.ops.images import image_tensor
from vossegcli.ops.resize import resize_smooth, working_size
from vossegcli.runners.propagate.segment import PropagateItem
from vossegcli.systems.base import ADAPTATION, VideoPredictor
from vossegcli.training.loop import Trainer, run_training
from vossegcli.training.settings import Stage, TrainingSettings

SIZE, FRAMES, OBJECTS = 256, 3, 2  # of the clips; one a step
LEARNING_RATE, WARMUP, WEIGHT_DECAY, CLIP_NORM, AVERAGE = 5e-4, 5, 1e-4, 1.0, 0.9
MAX_SCENES = 8  # annotated frames that are kept in memory
TOLD_EVERY = 10  # steps


def adapt(
    model: ChosenModel, item: PropagateItem, predictor: VideoPredictor, steps: int, seed: int, progress: Progress
) -> VideoPredictor:
    """Train a copy of the network on clips of the annotated frames and return a predictor around it.

    The weights are kept beside the snapshots, so that an interrupted sequence goes on with the very same.

    Args:
        model: the network to start from; not changed.
        item: the sequence.
        predictor: around that network; says at which size to work.
        steps: of training; where every frame has its mask already, the predictor is returned as it is.
        seed: of the clips.
        progress: told how it goes.

    Raises:
        InputError: an annotated frame or its mask cannot be read.
    """
    if not _left_to_segment(item):
        return predictor
    network = copy.deepcopy(model.network)
    adapted = read_state(item.state.adapted, item.key)  # by an interrupted run of this very job
    if adapted is not None:
        network.load_state_dict(adapted[0])
    else:
        scenes = _scenes(item, predictor.short_side)
        if not scenes:  # objects of so few pixels that they vanish at working size
            return predictor
        stream = SceneStream(scenes, seed, model.device)
        network = _train(model, network, stream, _settings(steps, seed), item, progress)
        write_tensors(item.state.adapted, network.state_dict(), {"key": item.key})
        progress.item(item.name)
    return predictor.with_network(network)


def _left_to_segment(item: PropagateItem) -> bool:
    """Return True if a frame is segmented: masks of later frames are taken as they are under `all` alone."""
    frames = {index for way in item.passes for index in way.indices()}
    return bool(frames - set(item.given.files)) if item.given.use == "all" else len(frames) > 1


class _Teller:
    """Tells the progress how far an adaptation has come."""

    def __init__(self, name: str, steps: int, progress: Progress) -> None:
        self.name, self.steps, self.progress = name, steps, progress

    def on_step(self, step: int, stage: Stage, values: Mapping[str, float]) -> None:  # noqa: ARG002
        """Tell now and then."""
        if step % TOLD_EVERY == 1:
            self.progress.item(f"{self.name}, adapting {step}/{self.steps}")

    def on_state(self, step: int, trainer: Trainer) -> None:
        """Keep no state: a minute of work is repeated, and gives the same."""


def _settings(steps: int, seed: int) -> TrainingSettings:
    stage = Stage(
        ADAPTATION, ADAPTATION, steps, batch=1, size=SIZE, frames=FRAMES, learning_rate=LEARNING_RATE, warmup=WARMUP,
        weight_decay=WEIGHT_DECAY, freeze_norm=True,
    )  # fmt: skip
    return TrainingSettings("", (stage,), seed=seed, ema=AVERAGE, clip_norm=CLIP_NORM, checkpoint_every=steps)


def _train(
    model: ChosenModel,
    network: nn.Module,
    stream: SceneStream,
    settings: TrainingSettings,
    item: PropagateItem,
    progress: Progress,
) -> nn.Module:
    """Train a network; returns the moving average of its weights."""
    network.to(memory_format=torch.channels_last).requires_grad_(requires_grad=True)
    trainer = Trainer(network, settings)
    spec = ClipSpec(1, SIZE, FRAMES, min(OBJECTS, stream.objects))
    steps = settings.total_steps
    # Half precision without scaled gradients would lose the small ones.
    precision = torch.float32 if model.precision is torch.float16 else model.precision
    teller = _Teller(item.name, steps, progress)
    run_training(trainer, model.system.objectives, stream.stream(steps, spec), teller, precision=precision)
    return trainer.average


def _scenes(item: PropagateItem, short_side: int | None) -> list[Scene]:
    """Read the annotated frames at working size, each with the objects that are taken from its mask."""
    taken: dict[int, np.ndarray] = {}
    known: set[int] = set()
    for index in sorted(item.given.files, reverse=item.passes[0].reverse):
        label_map = item.given.read(index)
        fresh = [i for i in label_map.ids if item.given.use == "all" or i not in known]
        known.update(fresh)
        if fresh:
            taken[index] = np.where(np.isin(label_map.ids_map, fresh), label_map.ids_map, 0)
    chosen = np.unique(np.linspace(0, len(taken) - 1, MAX_SCENES).round().astype(int))
    scenes = []
    for index in np.array(list(taken))[chosen]:
        (frame,) = item.reader.iterate(index, index + 1)
        image = image_tensor(frame.image)
        size = working_size((image.shape[-2], image.shape[-1]), short_side)
        small = (resize_smooth(image.unsqueeze(0), size)[0] * 255.0).round().to(torch.uint8)
        ids = torch.from_numpy(taken[index].astype(np.int32)).float()
        ids = F.interpolate(ids[None, None], size=size, mode="nearest-exact")[0, 0].int()
        if bool(ids.any()):
            scenes.append(Scene(small.permute(1, 2, 0).contiguous().numpy(), ids.numpy()))
    return scenes
