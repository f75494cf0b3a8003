"""Training clips of annotated videos: frames some way apart, forwards or backwards, seen through a moving window.

Shapes: T frames, S side of a clip, H W pixels of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from vossegcli.data.augment import add_noise, jitter_colour
from vossegcli.data.synthetic import COARSE, FINE, Look, drop_unseen
from vossegcli.data.textures import CropBox, cached_image, resize_crop, resize_mask
from vossegcli.samples import ClipSamples, Correspondences
from vossegcli.types import AnnotatedImage

LONGEST_GAP = 8  # annotated frames from one of a clip to the next
SMALLEST_WINDOW = 0.45  # of the short side of a frame
ZOOM = 0.3  # largest change of the logarithm of the window's side over a clip
SHIFT = 0.15  # of the window's centre, in sides

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RealClips:
    """Clips of videos before their colours are changed: frames (B,T,3,S,S) uint8 and object ids (B,T,S,S) uint8."""

    frames: Tensor
    labels: Tensor


def videos_of(images: Sequence[AnnotatedImage]) -> list[list[AnnotatedImage]]:
    """Group the frames of annotated videos, in their order; two data sets may share names of videos."""
    videos: dict[Path, list[AnnotatedImage]] = {}
    for image in images:
        if image.identities is not None:
            videos.setdefault(image.path.parent, []).append(image)
    return list(videos.values())


def can_be_followed(frames: Sequence[AnnotatedImage]) -> bool:
    """Say whether clips can be taken of a video: two of its frames have an object."""
    return sum(bool(frame.segmentations) for frame in frames) > 1


def draw_real_clip(
    frames: Sequence[AnnotatedImage], count: int, size: int, objects: int, rng: np.random.Generator
) -> tuple[UInt8, UInt8]:
    """Draw a clip of one video.

    Args:
        frames: its annotated frames, at least one with an object.
        count: T.
        size: S.
        objects: most that are labelled; others are background.
        rng: source of randomness.

    Returns:
        (T,3,S,S) uint8 RGB, and (T,S,S) uint8 ids from 1 on.
    """
    order = _draw_order(frames, count, rng)
    first = frames[order[0]]
    identities = first.identities or ()
    chosen = rng.permutation(identities)[:objects].tolist()
    centre = _centre(first, identities.index(chosen[0]), rng)
    flip = bool(rng.random() < 0.5)
    pictures, labels = [], []
    for index, box in zip(order, _windows(first, centre, count, rng), strict=True):
        frame = frames[index]
        pictures.append(resize_crop(cached_image(frame.path), box, size, flip=flip).transpose(2, 0, 1))
        ids = np.zeros((size, size), np.uint8)
        for identity, rle in zip(frame.identities or (), frame.segmentations, strict=True):
            if identity in chosen:
                ids[resize_mask(coco_mask.decode(rle), box, size, flip=flip) > 0] = chosen.index(identity) + 1
        labels.append(ids)
    return np.stack(pictures), np.stack(labels)


def stack_real_clips(clips: Sequence[tuple[UInt8, UInt8]]) -> RealClips:
    """Make a batch of clips."""
    frames, labels = zip(*clips, strict=True)
    return RealClips(torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(labels)))


def finish_real_clips(clips: RealClips, classes: int, generator: torch.Generator, look: Look) -> ClipSamples:
    """Change colours and add noise, on the device of the generator; what corresponds to what is not known.

    Args:
        clips: as drawn.
        classes: K of the batch.
        generator: source of randomness.
        look: how clips look.
    """
    device = generator.device
    frames = jitter_colour(clips.frames.to(device).float() / 255.0, look.colour, generator)
    frames = add_noise(frames, look.noise, generator)
    coarse, fine = (_unknown(frames, stride) for stride in (COARSE, FINE))
    return ClipSamples(frames, drop_unseen(clips.labels.to(device).long()), coarse, fine, classes)


def _draw_order(frames: Sequence[AnnotatedImage], count: int, rng: np.random.Generator) -> list[int]:
    """Draw indices of frames: from one with an object on, turning round at the ends of the video."""
    start = int(rng.choice([index for index, frame in enumerate(frames) if frame.segmentations]))
    gaps = rng.integers(1, rng.integers(1, LONGEST_GAP + 1) + 1, count - 1)
    steps = np.concatenate([[0], np.cumsum(gaps)]) * rng.choice((-1, 1))
    period = 2 * (len(frames) - 1)
    folded = (start + steps) % period
    order: list[int] = np.minimum(folded, period - folded).tolist()
    return order


def _centre(frame: AnnotatedImage, number: int, rng: np.random.Generator) -> tuple[float, float]:
    """Draw a pixel (x, y) of an object."""
    rows, columns = np.nonzero(coco_mask.decode(frame.segmentations[number]))
    index = rng.integers(len(rows))
    return float(columns[index]), float(rows[index])


def _windows(frame: AnnotatedImage, centre: tuple[float, float], count: int, rng: np.random.Generator) -> list[CropBox]:
    """Draw square windows (left, top, right, bottom) inside the picture, the first of which holds a point."""
    short, corner = min(frame.height, frame.width), np.array([frame.width, frame.height])
    side = short * rng.uniform(SMALLEST_WINDOW, 1.0)
    place = np.array(centre) + side * rng.uniform(-0.4, 0.4, 2)
    zoom, shift = rng.uniform(-ZOOM, ZOOM), side * rng.uniform(-SHIFT, SHIFT, 2)
    windows = []
    for time in np.linspace(0.0, 1.0, count):
        half = min(side * np.exp(zoom * time), short) / 2
        x, y = np.clip(place + shift * time, half, corner - half)
        windows.append((float(x - half), float(y - half), float(x + half), float(y + half)))
    return windows


def _unknown(frames: Tensor, stride: int) -> Correspondences:
    """Textures that no two frames share, so that no cell has a partner."""
    batch, count, _, height, width = frames.shape
    cells = (batch, count, height // stride, width // stride)
    numbers = -1 - torch.arange(count, device=frames.device).view(1, -1, 1, 1)
    return Correspondences(torch.zeros(*cells, 2, device=frames.device), numbers.expand(cells))
