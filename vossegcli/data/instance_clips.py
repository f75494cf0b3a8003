"""Synthetic clips with instances and their identities: crops of annotated images in motion, others crossing them.

A clip is a crop whose instances move together (camera, drift, deformation) and some instances of another crop on a path
of their own before it, which cover, enter and leave. The motion is that of `motion`, as for clips with given masks.

Shape letters: B clips, T frames, n instances of a clip, S side of a frame, M side of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vossegcli.data.augment import add_noise, blur_some, jitter_colour, recolour_some
from vossegcli.data.instances import COLOUR, QUEUE_LENGTH, InstanceSpec, InstanceStream
from vossegcli.data.motion import Motion, sample_texture, sampling_grids
from vossegcli.io.media.ahead import read_ahead
from vossegcli.samples import InstanceClipSamples

MARGIN = 1.25  # side of a layer to side of the frame: what may come into view
CROSSING = 0.6  # share of the clips that another crop's instances cross
#: Largest change from the first frame of a clip to the last.
TOGETHER = Motion(translate=0.25, rotate=0.2, log_scale=0.12, shear=0.06, elastic=0.04)
ACROSS = Motion(translate=0.9, rotate=0.6, log_scale=0.2, shear=0.1, elastic=0.05)


@dataclass(frozen=True)
class InstanceLayers:
    """Layers of a batch of clips, on one device: a background and what crosses it.

    Attributes:
        pictures: (B,2,3,M,M) uint8.
        ids: (B,2,M,M) int32; in the second layer everything without an id is transparent.
        labels: (n,) int64 number of the class of ids 1..n of each clip.
    """

    pictures: Tensor
    ids: Tensor
    labels: tuple[Tensor, ...]


class InstanceClipStream(InstanceStream):
    """Batches of images, and of clips; the batch of a step depends on the seed and the step alone."""

    def clips(self, step: int, spec: InstanceSpec, frames: int = 2) -> InstanceClipSamples:
        """Draw and render the batch of one step."""
        return self._render(step, self.draw_layers(step, spec), frames, spec)

    def stream_clips(
        self, start: int, stop: int, spec_of: Callable[[int], InstanceSpec]
    ) -> Iterator[InstanceClipSamples]:
        """Yield the batches of the steps from `start` to `stop` - 1, drawn ahead in a thread."""
        steps = range(start, stop)
        drawn = read_ahead((self.draw_layers(step, spec_of(step)) for step in steps), QUEUE_LENGTH)
        for step, layers in zip(steps, drawn, strict=True):
            yield self._render(step, layers, 2, spec_of(step))

    def draw_layers(self, step: int, spec: InstanceSpec) -> InstanceLayers:
        """Draw what the clips of a step are painted of (on the host)."""
        wide = replace(spec, size=round(spec.size * MARGIN))
        pictures, ids, labels = [], [], []
        for seed in np.random.SeedSequence((self.seed, step)).spawn(spec.batch):
            rng = np.random.default_rng(seed)
            data_set = self.draw_set(rng)
            crop, other = self.draw_crop(rng, wide, data_set), self.draw_crop(rng, wide, data_set)
            share = 0.4 if rng.random() < CROSSING else 0.0
            chosen = np.flatnonzero(rng.random(len(other.labels)) < share)
            numbers = np.zeros(len(other.labels) + 1, np.int32)
            numbers[chosen + 1] = len(crop.labels) + 1 + np.arange(len(chosen))
            pictures.append(np.stack([crop.image, other.image]).transpose(0, 3, 1, 2))
            ids.append(np.stack([crop.ids, numbers[other.ids]]))
            labels.append(torch.from_numpy(np.concatenate([crop.labels, other.labels[chosen]])))
        return InstanceLayers(
            torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(ids).astype(np.int32)), tuple(labels)
        )

    def _render(self, step: int, layers: InstanceLayers, frames: int, spec: InstanceSpec) -> InstanceClipSamples:
        generator = torch.Generator(self.device).manual_seed((self.seed << 32) + step)
        moved = InstanceLayers(layers.pictures.to(self.device), layers.ids.to(self.device), layers.labels)
        return render_instance_clips(moved, spec.size, frames, generator, spec.recolour)


def render_instance_clips(
    layers: InstanceLayers, size: int, frames: int, generator: torch.Generator, recolour: float = 0.0
) -> InstanceClipSamples:
    """Set layers in motion and paint the clips; runs on the layers' device.

    Args:
        layers: what to paint.
        size: S.
        frames: T.
        generator: source of randomness on the same device.
        recolour: share of the clips whose colours are exchanged.
    """
    batch, side, device = layers.pictures.shape[0], layers.pictures.shape[-1], layers.pictures.device
    canvas = torch.zeros(batch, frames, 3, size, size, device=device)
    ids = torch.zeros(batch, frames, size, size, dtype=torch.int64, device=device)
    for layer, motion in enumerate((TOGETHER, ACROSS)):
        spread = 0.0 if layer == 0 else 0.8
        centre = spread * (2.0 * torch.rand(batch, 2, generator=generator, device=device) - 1.0)
        log_size = torch.full((batch, frames), math.log(side / size), device=device)
        grid = sampling_grids(centre.unsqueeze(1).expand(-1, frames, -1), log_size, size, motion, generator)
        texture = layers.pictures[:, layer].float() / 255.0
        painted = sample_texture(texture, grid, "border")
        own = sample_texture(layers.ids[:, layer : layer + 1].float(), grid, "zeros", mode="nearest")[:, :, 0].long()
        covers = own > 0 if layer else torch.ones_like(own, dtype=torch.bool)
        canvas = torch.where(covers.unsqueeze(2), painted, canvas)
        ids = torch.where(covers, own, ids)
    coloured = jitter_colour(recolour_some(canvas, recolour, generator), COLOUR, generator)
    clips = add_noise(blur_some(coloured, 0.1, generator), 0.04, generator)
    return InstanceClipSamples(clips, ids, layers.labels)
