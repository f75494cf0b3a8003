"""Small scenes that the contracts segment and learn.

Covers: samples
"""

from __future__ import annotations

import torch
from torch import Tensor

from vossegcli.samples import ClipSamples, Correspondences, EpisodeSamples, InstanceClipSamples


def square_clip(frames: int, size: tuple[int, int], ids: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A textured background with one bright square an object that moves right: (T,3,H,W) and (T,H,W)."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    background = 0.3 * torch.rand(3, height, width, generator=generator)
    video = background.repeat(frames, 1, 1, 1)
    labels = torch.zeros(frames, height, width, dtype=torch.int64)
    side = max(4, min(height, width) // (len(ids) + 2))
    for k, object_id in enumerate(ids):
        colour = torch.tensor([1.0 - k / 8, 0.2 + k / 8, 0.5]).view(3, 1, 1)
        for t in range(frames):
            top, left = 2 + k * side, 2 + 2 * t + 3 * k
            video[t, :, top : top + side - 1, left : left + side] = colour
            labels[t, top : top + side - 1, left : left + side] = object_id
    return video, labels


def still_places(cells: int) -> Correspondences:
    """Two clips of three frames in which nothing moves."""
    axis = torch.arange(float(cells))
    coordinates = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).expand(2, 3, cells, cells, 2)
    return Correspondences(coordinates.contiguous(), torch.zeros(2, 3, cells, cells, dtype=torch.int64))


def square_clips() -> ClipSamples:
    """Two clips of three frames, with one object and with two."""
    pairs = [square_clip(3, (48, 48), (1,)), square_clip(3, (48, 48), (1, 2))]
    frames, labels = torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
    return ClipSamples(frames, labels, still_places(3), still_places(6), 3)


def red_square(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A red square (id 3) on green noise: (3,H,W) and (H,W)."""
    generator = torch.Generator().manual_seed(seed)
    image = 0.3 * torch.rand(3, height, width, generator=generator)
    image[1] += 0.5
    mask = torch.zeros(height, width, dtype=torch.int64)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 3
    image[:, mask > 0] = torch.tensor([0.9, 0.1, 0.1]).unsqueeze(1)
    return image, mask


def square_episodes() -> EpisodeSamples:
    """Two groups of three pictures: red squares, and the same in blue."""
    pairs = [red_square(48, 48, seed) for seed in range(3)]
    red = torch.stack([image for image, _ in pairs])
    masks = torch.stack([(mask > 0).float() for _, mask in pairs])
    images = torch.stack([red, red.flip(1)])
    supports = (~torch.eye(3, dtype=torch.bool)).expand(2, 3, 3)
    labels = torch.stack([torch.where(masks > 0, number + 1, -1) for number in range(2)])
    return EpisodeSamples(images, torch.stack([masks, masks]), supports, labels, torch.tensor([0, 1]))


def square_instance_clips() -> InstanceClipSamples:
    """Two clips of two frames with two instances of one class each."""
    video, ids = square_clip(4, (64, 64), (1, 2))
    frames = torch.stack([video[[0, 1]], video[[2, 3]]])
    return InstanceClipSamples(
        frames, torch.stack([ids[[0, 1]], ids[[2, 3]]]), (torch.zeros(2, dtype=torch.int64),) * 2
    )
