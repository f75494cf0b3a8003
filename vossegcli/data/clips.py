"""A stream of training clips, synthetic and of annotated videos: drawn in a thread, rendered on the training device."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vossegcli.data.real_clips import (
    RealClips,
    can_be_followed,
    draw_real_clip,
    finish_real_clips,
    stack_real_clips,
    videos_of,
)
from vossegcli.data.synthetic import Layers, Look, draw_layers, render_clips
from vossegcli.data.textures import TextureSource
from vossegcli.io.media.ahead import read_ahead
from vossegcli.samples import ClipSamples, join_clips
from vossegcli.types import AnnotatedImage

QUEUE_LENGTH = 3
LOOK = Look(shutter=0.6)


@dataclass(frozen=True)
class ClipSpec:
    """Shape of the clips of one step: clips per batch, side in pixels, frames, and most objects."""

    batch: int
    size: int
    frames: int
    objects: int


@dataclass(frozen=True)
class Drawn:
    """A batch before it is rendered: synthetic clips, then those of videos; None = there are none."""

    layers: Layers | None
    real: RealClips | None


class ClipStream:
    """Batches of clips; the batch of a step depends on the seed and the step alone, so training can be resumed.

    Args:
        images: the pool to draw from.
        pseudo_objects: share of cut-outs that are unsupervised regions.
        seed: of everything drawn.
        device: where clips are rendered.
        real_clips: share of the clips that are taken from the videos of the pool, where it has some.
    """

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        pseudo_objects: float,
        seed: int,
        device: torch.device,
        real_clips: float = 0.0,
    ) -> None:
        self.images = images
        self.videos = list(filter(can_be_followed, videos_of(images))) if real_clips else []
        self.real_clips = real_clips
        self.pseudo_objects = pseudo_objects
        self.seed = seed
        self.device = device
        self._sources: dict[int, TextureSource] = {}

    def batch(self, step: int, spec: ClipSpec) -> ClipSamples:
        """Draw and render the batch of one step."""
        return self._render(step, spec, self._draw(step, spec))

    def stream(self, start: int, stop: int, spec_of: Callable[[int], ClipSpec]) -> Iterator[ClipSamples]:
        """Yield the batches of the steps from `start` to `stop` - 1, drawn ahead in a thread."""
        steps = range(start, stop)
        drawn = read_ahead((self._draw(step, spec_of(step)) for step in steps), QUEUE_LENGTH)
        for step, layers in zip(steps, drawn, strict=True):
            yield self._render(step, spec_of(step), layers)

    def _draw(self, step: int, spec: ClipSpec) -> Drawn:
        rng = np.random.default_rng((self.seed, step))
        if spec.size not in self._sources:
            self._sources[spec.size] = TextureSource(self.images, spec.size, self.pseudo_objects)
        objects = self._objects(step, spec)
        real = int(rng.binomial(spec.batch, self.real_clips)) if self.videos else 0
        made = spec.batch - real
        layers = draw_layers(self._sources[spec.size], made, objects, rng) if made else None
        chosen = [self.videos[rng.integers(len(self.videos))] for _ in range(real)]
        clips = [draw_real_clip(video, spec.frames, spec.size, objects, rng) for video in chosen]
        return Drawn(layers, stack_real_clips(clips) if clips else None)

    def _render(self, step: int, spec: ClipSpec, drawn: Drawn) -> ClipSamples:
        generator = torch.Generator(self.device).manual_seed((self.seed << 32) + step)
        classes = self._objects(step, spec) + 1
        parts = []
        if drawn.layers is not None:
            parts.append(render_clips(drawn.layers.to(self.device), spec.frames, generator, classes, LOOK))
        if drawn.real is not None:
            parts.append(finish_real_clips(drawn.real, classes, generator, LOOK))
        return join_clips(parts)

    def _objects(self, step: int, spec: ClipSpec) -> int:
        return int(np.random.default_rng((self.seed, step, 1)).integers(1, spec.objects + 1))


def split_by_source(
    images: Sequence[AnnotatedImage], holdout: float
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """Split into training and validation by a hash of the source, so that pictures of one photo stay together.

    Where anything is held out, at least one source of several is, and never all of them.
    """
    hashes = {(i.dataset, i.source): zlib.crc32(f"{i.dataset}/{i.source}".encode()) / 2**32 for i in images}
    ranked = sorted(hashes, key=lambda source: hashes[source])
    count = sum(hashes[source] < holdout for source in ranked)
    if holdout > 0.0 and ranked:
        count = min(max(count, 1), len(ranked) - 1)
    chosen = set(ranked[:count])
    parts: tuple[list[AnnotatedImage], list[AnnotatedImage]] = ([], [])
    for image in images:
        parts[(image.dataset, image.source) in chosen].append(image)
    return parts
