"""Synthetic video clips with masks and exact correspondences, from still images.

A clip is a background and up to three cut-outs, each a texture that moves and deforms on a path of its own (camera
and object motion, occlusion, objects that leave, look-alikes as distractors, camouflage). What moves is known, so
every cell of every frame knows the texture and the place on it that it shows: the ground truth for learning to match.

Shape letters: B clips, T frames, N masks of a background, L cut-outs, S side of a frame, h w cells at stride 16 or 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vossegcli.data.augment import add_noise, blur_some, jitter_colour
from vossegcli.data.courses import FULL_GROWTH, draw_places
from vossegcli.data.motion import CAMERA, OBJECT, Motion, sample_texture, sampling_grids
from vossegcli.data.textures import TextureSource, pseudo_cutout
from vossegcli.data.turning import turn
from vossegcli.samples import ClipSamples, Correspondences

COARSE, FINE = 16, 8
CUTOUTS = 3
CAMOUFLAGED = 0.15  # share of the cut-outs that look like what is behind them: pieces of the background itself
MIN_VISIBLE_PIXELS = 30
EXPOSURES = 5  # samples of a blurred cut-out


@dataclass(frozen=True)
class Layers:
    """The layers of a batch of clips before they move, all on one device.

    Attributes:
        background: (B,3,S,S) uint8.
        background_masks: (B,N,S,S) uint8 of 0/1.
        background_ids: (B,N) int64 object ids of those masks, 0 = none.
        cutouts: (B,L,4,S,S) uint8, RGB and mask (0/255), painted in this order.
        turned: (B,L,4,S,S) uint8, likewise: what each cut-out turns into within the clip; itself where it does not.
        cutout_ids: (B,L) int64 object id, 0 = distractor, -1 = no cut-out in this place.
        placements: (B,1+L,4) float32 of the background and the cut-outs in the first frame: centre x and y in
            [-1, 1], natural logarithm of the size relative to the frame, and the `reach` of the motion.
        courses: (B,1+L,3) float32 of the background and the cut-outs, beside their random motion: shift over the clip
            in x and y, in half frame sizes, and growth of the logarithm of the size over `FULL_GROWTH` frames.
    """

    background: Tensor
    background_masks: Tensor
    background_ids: Tensor
    cutouts: Tensor
    turned: Tensor
    cutout_ids: Tensor
    placements: Tensor
    courses: Tensor

    def to(self, device: torch.device) -> Layers:
        """Copy to a device."""
        return Layers(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Look:
    """Motion and appearance of the layers of clips.

    Attributes:
        camera: largest motion of the background.
        objects: largest motion of the cut-outs.
        shutter: longest exposure in frames; half of the cut-outs are blurred by their motion while it lasts.
        cutout_colour: largest relative change of a cut-out's colours.
        colour: likewise of the whole picture.
        noise: largest standard deviation of the noise.
    """

    camera: Motion = CAMERA
    objects: Motion = OBJECT
    shutter: float = 0.0
    cutout_colour: float = 0.15
    colour: float = 0.25
    noise: float = 0.04


def draw_layers(source: TextureSource, batch: int, objects: int, rng: np.random.Generator) -> Layers:
    """Draw the layers of a batch of clips with at most `objects` labelled objects each (on the host)."""
    return stack_layers([_draw_clip(source, objects, rng) for _ in range(batch)])


def stack_layers(clips: Sequence[tuple[np.ndarray, ...]]) -> Layers:
    """Make a batch of the layers of single clips, each an array for every field of `Layers` without its first axis."""
    return Layers(*(torch.from_numpy(np.stack(parts)) for parts in zip(*clips, strict=True)))


def _draw_clip(source: TextureSource, objects: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    size = source.size
    in_place = int(rng.integers(0, objects + 1))
    background = source.background(rng, in_place)
    found = background.masks.shape[0]
    masks = np.zeros((objects, size, size), np.uint8)
    masks[:found] = background.masks
    mask_ids = np.where(np.arange(objects) < found, np.arange(objects) + 1, 0)
    cutouts = np.zeros((CUTOUTS, 4, size, size), np.uint8)
    turned = np.zeros_like(cutouts)
    ids = np.full(CUTOUTS, -1)
    next_id = found + 1
    for place in rng.permutation(CUTOUTS):
        wanted = next_id <= objects
        if not wanted and rng.random() < 0.5:
            continue
        labelled = np.flatnonzero(ids > 0)
        if not wanted and labelled.size and rng.random() < 0.5:
            cutouts[place] = turned[place] = cutouts[rng.choice(labelled)]  # a look-alike of a labelled object
        else:
            camouflaged = rng.random() < CAMOUFLAGED
            cutout = pseudo_cutout(rng, background.image) if camouflaged else source.cutout(rng)
            before, after = turn(source, cutout, rng) if wanted else (cutout, cutout)
            cutouts[place], turned[place] = before.layer, after.layer
        ids[place] = next_id if wanted else 0
        next_id += wanted
    placements, courses = draw_places(ids, rng)
    return background.image.transpose(2, 0, 1).copy(), masks, mask_ids, cutouts, turned, ids, placements, courses


def render_clips(layers: Layers, frames: int, generator: torch.Generator, classes: int, look: Look) -> ClipSamples:
    """Set layers in motion and paint the clips; runs on the layers' device.

    Args:
        layers: what to paint.
        frames: T.
        generator: source of randomness on the same device.
        classes: K of the batch.
        look: how things move and look.
    """
    batch, _, size, _ = layers.background.shape
    device = generator.device
    time = torch.linspace(0.0, 1.0, frames, device=device).view(1, -1, 1) * torch.tensor(
        [1.0, 1.0, min(1.0, (frames - 1) / (FULL_GROWTH - 1))], device=device
    )

    def grids(layer: int, largest: Motion) -> Tensor:
        centre, log_size, reach = layers.placements[:, layer].split([2, 1, 1], dim=1)
        course = layers.courses[:, layer].unsqueeze(1) * time  # (B,T,3)
        centres, log_sizes = centre.unsqueeze(1) + course[..., :2], log_size + course[..., 2]
        return sampling_grids(centres, log_sizes, size, largest, generator, reach[:, 0])

    grid = grids(0, look.camera)
    canvas = sample_texture(layers.background.float() / 255.0, grid, "reflection")
    masks = sample_texture(layers.background_masks.float(), grid, "zeros") > 0.5  # (B,T,N,S,S)
    labels = torch.zeros(batch, frames, size, size, dtype=torch.int64, device=device)
    for index in range(masks.shape[2]):
        labels = torch.where(masks[:, :, index], layers.background_ids[:, index, None, None, None], labels)
    places, textures = grid, torch.zeros_like(labels)  # (B,T,S,S,2), (B,T,S,S)
    for index in range(layers.cutouts.shape[1]):
        ids = layers.cutout_ids[:, index]
        sides = torch.stack([layers.cutouts[:, index], layers.turned[:, index]], dim=1).float() / 255.0  # (B,2,4,S,S)
        colours, mask = sides[:, :, :3], sides[:, :, 3:]
        colours = jitter_colour(colours, look.cutout_colour, generator)
        before, after = torch.cat([colours * mask, mask], dim=2).unbind(1)  # (B,4,S,S) each
        grid = grids(1 + index, look.objects)
        painted = _expose(before, grid, look.shutter, generator)  # (B,T,4,S,S)
        turns = (layers.cutouts[:, index] != layers.turned[:, index]).flatten(1).any(dim=1)  # (B,)
        progress = _progress(frames, turns, generator)  # (B,T)
        if bool(turns.any()):
            painted = torch.lerp(painted, sample_texture(after, grid, "zeros"), progress[:, :, None, None, None])
        painted = painted * (ids >= 0)[:, None, None, None, None]
        alpha = painted[:, :, 3:]
        canvas = painted[:, :, :3] + (1.0 - alpha) * canvas
        covers = alpha[:, :, 0] > 0.5  # (B,T,S,S)
        labels = torch.where(covers, ids.clamp(min=0)[:, None, None, None], labels)
        places = torch.where(covers.unsqueeze(-1), grid, places)
        side = 1 + index + CUTOUTS * (progress > 0.5).long()  # (B,T): what has turned shows another texture
        textures = torch.where(covers, side[:, :, None, None], textures)
    clips = jitter_colour(canvas, look.colour, generator)
    clips = add_noise(blur_some(clips, 0.15, generator), look.noise, generator)
    coarse, fine = (_at_cells(places, textures, stride) for stride in (COARSE, FINE))
    return ClipSamples(clips, drop_unseen(labels), coarse, fine, classes)


def _expose(texture: Tensor, grid: Tensor, shutter: float, generator: torch.Generator) -> Tensor:
    """Sample textures (B,4,S,S), colours multiplied by the mask, for a random time around each frame: (B,T,4,S,S)."""
    painted = sample_texture(texture, grid, "zeros")
    draw = torch.rand(grid.shape[0], generator=generator, device=grid.device)
    exposure = shutter * (2.0 * draw - 1.0).clamp_min(0.0)
    blurred = exposure.nonzero().flatten()  # clips
    if blurred.numel():
        step = (grid[:, 1:] - grid[:, :-1])[blurred]
        step = torch.cat([step[:, :1], step], dim=1) * exposure[blurred].view(-1, 1, 1, 1, 1)  # (b,T,S,S,2)
        times = torch.linspace(-0.5, 0.5, EXPOSURES).tolist()
        samples = [sample_texture(texture[blurred], grid[blurred] + t * step, "zeros") for t in times]
        painted = painted.index_copy(0, blurred, torch.stack(samples).mean(dim=0))
    return painted


def _progress(frames: int, turns: Tensor, generator: torch.Generator) -> Tensor:
    """Draw how far each cut-out has turned, (B,T) in [0, 1]: at a random time, suddenly or over half of the clip."""
    start, length = torch.rand(2, turns.shape[0], 1, generator=generator, device=turns.device)
    time = torch.linspace(0.0, 1.0, frames, device=turns.device)
    reached: Tensor = (time - 0.7 * start) / (0.1 + 0.4 * length)  # (B,T)
    return reached.clamp(0.0, 1.0) * turns.unsqueeze(1)


def _at_cells(coordinates: Tensor, textures: Tensor, stride: int) -> Correspondences:
    """Take the pixel at the centre of each cell; coordinates in [-1, 1] become cells."""
    centre = slice(stride // 2, None, stride)
    half_side = coordinates.shape[2] / 2 / stride
    return Correspondences(coordinates[:, :, centre, centre] * half_side, textures[:, :, centre, centre])


def drop_unseen(labels: Tensor) -> Tensor:
    """Make objects that are not visible in frame 0 background: nobody pointed at them."""
    for object_id in range(1, int(labels.max()) + 1):
        seen = (labels[:, 0] == object_id).sum(dim=(-2, -1)) >= MIN_VISIBLE_PIXELS  # (B,)
        labels = torch.where((labels == object_id) & ~seen[:, None, None, None], 0, labels)
    return labels
