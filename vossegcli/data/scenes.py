"""Synthetic clips of one annotated picture: its objects move in front of their own background.

A network is adapted to the very objects that it is about to follow on such clips; the idea is that of Khoreva,
Benenson, Ilg, Brox, Schiele: Lucid Data Dreaming for Video Object Segmentation, IJCV 2019. Objects are cut out, their
holes are filled, and `synthetic` sets both in motion. All sizes are about those of the picture, as in its video.

Shape letters: H W pixels of a picture, K objects, S side of a clip's frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from vossegcli.data.clips import ClipSpec
from vossegcli.data.motion import Motion
from vossegcli.data.synthetic import Look, render_clips, stack_layers
from vossegcli.data.textures import UInt8, resize_crop, resize_mask
from vossegcli.samples import ClipSamples

LOG_ZOOM = 0.3
MARGIN = 1.5  # of the widest window, for a large object
CUTOUT = 1.1  # side of a cut-out to that of a large object
ELSEWHERE = 0.8  # share of the clips whose objects are set before another part of the picture
RIM = 3  # pixels around an object that are filled with it
SMOOTHNESS = 6.0
SMALLEST_REACH = 48  # pixels; small objects move as far as ones of this size
#: Shifts and bending of objects are in sizes of the object.
LOOK = Look(
    camera=Motion(translate=0.25, rotate=0.08, log_scale=0.08, shear=0.03, elastic=0.0, slowness=1.0),
    objects=Motion(translate=1.6, rotate=0.4, log_scale=0.25, shear=0.2, elastic=0.08, slowness=1.0),
    shutter=0.6,
    cutout_colour=0.0,
    colour=0.12,
    noise=0.02,
)


@dataclass(frozen=True)
class Scene:
    """An annotated picture.

    Attributes:
        image: (H,W,3) uint8 RGB.
        ids_map: (H,W) object ids, 0 = background.
    """

    image: UInt8
    ids_map: npt.NDArray[np.integer]


class SceneStream:
    """Batches of clips of a few scenes; the batch of a step depends on the seed and the step alone.

    Args:
        scenes: annotated pictures, each with an object, at the size at which the network works.
        seed: of everything drawn.
        device: where clips are rendered.
    """

    def __init__(self, scenes: Sequence[Scene], seed: int, device: torch.device) -> None:
        self.scenes = [(scene, [int(i) for i in np.unique(scene.ids_map) if i]) for scene in scenes]
        self.seed = seed
        self.device = device

    @property
    def objects(self) -> int:
        """The most objects of a scene."""
        return max(len(ids) for _, ids in self.scenes)

    def stream(self, steps: int, spec: ClipSpec) -> Iterator[ClipSamples]:
        """Yield the batches of the steps from 0 on."""
        for step in range(steps):
            yield self.batch(step, spec)

    def batch(self, step: int, spec: ClipSpec) -> ClipSamples:
        """Draw and render the batch of one step."""
        rng = np.random.default_rng((self.seed, step))
        layers = stack_layers([self._draw(spec, rng) for _ in range(spec.batch)])
        generator = torch.Generator(self.device).manual_seed((self.seed << 32) + step)
        return render_clips(layers.to(self.device), spec.frames, generator, spec.objects + 1, LOOK)

    def _draw(self, spec: ClipSpec, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw a window of a scene: one object and some of the others become cut-outs, the rest stays in place."""
        scene, ids = self.scenes[rng.integers(len(self.scenes))]
        size = spec.size
        chosen = [int(i) for i in rng.permutation(ids)[: spec.objects]]
        masks = [(scene.ids_map == i).astype(np.uint8) for i in chosen]
        largest = max(LOG_ZOOM, math.log(MARGIN * max(_place(masks[0])[2:]) / size))
        side = size * math.exp(rng.uniform(-LOG_ZOOM, largest))  # of the window in pixels of the picture
        elsewhere = rng.random() < ELSEWHERE
        left, top = _window(np.ones_like(masks[0]) if elsewhere else masks[0], side, rng)
        window = (left, top, left + side, top + side)
        hole = resize_mask(np.isin(scene.ids_map, chosen).astype(np.uint8), window, size, flip=False)
        background = _fill(resize_crop(scene.image, window, size, flip=False), hole)
        cutouts = np.zeros((spec.objects, 4, size, size), np.uint8)
        cutout_ids = np.full(spec.objects, -1)
        placements = np.zeros((1 + spec.objects, 4), np.float32)
        placements[0, 3] = 1.0
        courses = np.zeros((1 + spec.objects, 3), np.float32)
        for index, mask in enumerate(masks):
            x, y, height, width = _place(mask)
            half = max(side / 2, CUTOUT * max(height, width) / 2)  # of the cut-out, which holds the whole object
            box = (x - half, y - half, x + half, y + half)
            cutouts[index, :3] = resize_crop(scene.image, box, size, flip=False).transpose(2, 0, 1)
            cutouts[index, 3] = resize_mask(mask, box, size, flip=False) * np.uint8(255)
            cutout_ids[index] = index + 1
            centre = (2.0 * (x - left) / side - 1.0, 2.0 * (y - top) / side - 1.0)
            centre = tuple(rng.uniform(-0.6, 0.6, 2)) if elsewhere else centre
            reach = 2.0 * max(math.sqrt(height * width), SMALLEST_REACH) / side
            placements[1 + index] = (*centre, math.log(2.0 * half / side), reach)
        none = np.zeros((1, size, size), np.uint8)
        return (
            background.transpose(2, 0, 1).copy(),
            none,
            np.zeros(1, np.int64),
            cutouts,
            cutouts,
            cutout_ids,
            placements,
            courses,
        )


def _window(mask: UInt8, side: float, rng: np.random.Generator) -> tuple[float, float]:
    """Left and top of a window in the picture, if it is large enough, with a random pixel of a mask in its middle."""
    rows, columns = np.nonzero(mask)
    pixel = rng.integers(rows.size)
    corner = []
    for place, length in ((columns[pixel], mask.shape[1]), (rows[pixel], mask.shape[0])):
        wanted = place - side * rng.uniform(0.25, 0.75)
        corner.append(min(max(wanted, 0.0), length - side) if length > side else (length - side) / 2)
    return corner[0], corner[1]


def _place(mask: UInt8) -> tuple[float, float, float, float]:
    """Centre x and y, height and width of a mask's box, in pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return float(columns[0] + width / 2), float(rows[0] + height / 2), float(height), float(width)


def _fill(picture: UInt8, hole: UInt8) -> UInt8:
    """Fill a hole (S,S) of a picture (S,S,3) with what is next to it, smoothed."""
    wide = ndimage.binary_dilation(hole, iterations=RIM)
    if wide.all():
        return picture
    nearest = ndimage.distance_transform_edt(wide, return_distances=False, return_indices=True)
    filled = picture[tuple(nearest)]
    smooth = ndimage.gaussian_filter(filled, (SMOOTHNESS, SMOOTHNESS, 0.0))
    return np.where(wide[:, :, None], smooth, picture)
