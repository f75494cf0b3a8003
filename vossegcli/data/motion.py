"""Random smooth motion of a layer: affine paths and elastic deformation as sampling grids.

A layer's texture has normalised coordinates in [-1, 1]; a grid gives, for every pixel of a frame, the texture
coordinate that is seen there. Shape letters: B clips, T frames, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CONTROL_POINTS = 5


@dataclass(frozen=True)
class Motion:
    """Largest change over a whole clip; each clip draws how much of it is used.

    Attributes:
        translate: shift, in half frame sizes.
        rotate: radians.
        log_scale: natural logarithm of the size's ratio.
        shear: shear factor.
        elastic: displacement of the control points, in half frame sizes.
        slowness: above 1, slow motion is more common than fast.
    """

    translate: float
    rotate: float
    log_scale: float
    shear: float
    elastic: float
    slowness: float = 1.5


CAMERA = Motion(translate=0.45, rotate=0.25, log_scale=0.3, shear=0.1, elastic=0.05)
OBJECT = Motion(translate=1.2, rotate=0.7, log_scale=0.4, shear=0.25, elastic=0.16)


def smooth_paths(batch: int, frames: int, channels: int, generator: torch.Generator) -> Tensor:
    """Draw (B,T,C) paths that start at 0 and wander to about +-1: constant velocity plus small changes of it."""
    device = generator.device
    velocity = 2.0 * torch.rand(batch, 1, channels, generator=generator, device=device) - 1.0
    change = 0.7 * torch.randn(batch, max(frames - 1, 1), channels, generator=generator, device=device)
    steps = (velocity + change) / max(frames - 1, 1)
    start = torch.zeros(batch, 1, channels, device=device)
    return torch.cat([start, steps.cumsum(dim=1)], dim=1)[:, :frames]


def sampling_grids(
    centre: Tensor,
    log_size: Tensor,
    size: int,
    motion: Motion,
    generator: torch.Generator,
    reach: Tensor | None = None,
) -> Tensor:
    """Draw the motion of one layer a clip.

    Args:
        centre: (B,T,2) where the texture's centre would be without random motion, x and y; the frame is [-1, 1].
        log_size: (B,T) natural logarithm of the texture's size relative to the frame, likewise.
        size: H = W of the frames in pixels.
        motion: largest change.
        generator: source of randomness; its device is the device of the result.
        reach: (B,) factor of the shift and of the elastic displacement, e.g. the size of what moves; None = 1.

    Returns:
        (B,T,H,W,2) texture coordinates (x, y).
    """
    (batch, frames), device = log_size.shape, generator.device
    amount = torch.rand(batch, 1, 1, generator=generator, device=device) ** motion.slowness
    path = smooth_paths(batch, frames, 6, generator) * amount  # (B,T,6)
    reach = torch.ones(batch, device=device) if reach is None else reach
    shift = centre + motion.translate * reach.view(-1, 1, 1) * path[..., :2]  # (B,T,2)
    angle = motion.rotate * path[..., 2]
    shrink = torch.exp(-(log_size + motion.log_scale * path[..., 3]))
    shear = motion.shear * path[..., 4]
    cos, sin = angle.cos() * shrink, angle.sin() * shrink
    linear = torch.stack([cos, sin + shear * cos, -sin, cos - shear * sin], dim=-1).unflatten(-1, (2, 2))
    axis = (torch.arange(size, device=device) + 0.5) / size * 2.0 - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).view(1, 1, size * size, 2)
    coordinates: Tensor = (pixels - shift.unsqueeze(2)) @ linear.transpose(-1, -2)  # (B,T,H*W,2)
    bend = elastic_fields(batch, frames, size, generator) * (
        motion.elastic * (reach.view(-1, 1, 1) * amount)[..., None, None]
    )
    return coordinates.view(batch, frames, size, size, 2) + bend * shrink[..., None, None, None]


def elastic_fields(batch: int, frames: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw smooth displacement fields (B,T,H,W,2) of about unit size that change linearly over the clip."""
    device = generator.device
    shape = (batch, 1, 2, CONTROL_POINTS, CONTROL_POINTS)
    first = torch.randn(shape, generator=generator, device=device)
    last = torch.randn(shape, generator=generator, device=device)
    time = torch.linspace(0.0, 1.0, frames, device=device).view(1, -1, 1, 1, 1)
    points = (first + time * (last - first)).flatten(0, 1)  # (B*T,2,5,5)
    fields = F.interpolate(points, size=(size, size), mode="bicubic", align_corners=True)
    return fields.view(batch, frames, 2, size, size).permute(0, 1, 3, 4, 2)


def sample_texture(texture: Tensor, grid: Tensor, padding: str, mode: str = "bilinear") -> Tensor:
    """Sample textures (B,C,S,S) with grids (B,T,H,W,2) to (B,T,C,H,W).

    Args:
        texture: what moves.
        grid: from `sampling_grids`.
        padding: what lies beyond its border, as in `grid_sample`.
        mode: `nearest` for ids.
    """
    frames = grid.shape[1]
    repeated = texture.repeat_interleave(frames, dim=0)
    sampled = F.grid_sample(repeated, grid.flatten(0, 1), mode=mode, padding_mode=padding, align_corners=False)
    return sampled.view(-1, frames, *sampled.shape[1:])
