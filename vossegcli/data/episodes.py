"""Few-shot episodes from annotated images: a class, K support images of it and a query, with the masks of the class.

A class is a category of one data set; its mask in an image is the union of its objects. Everything is drawn on the
host. Shape letters: B episodes, K supports, S side of an image.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from vossegcli.data.textures import Box, cached_image, resize_crop, resize_mask
from vossegcli.errors import ConfigError
from vossegcli.io.ahead import read_ahead
from vossegcli.types import AnnotatedImage

QUEUE_LENGTH = 4
FEWEST_PIXELS = 0.01  # share of the crop
LARGEST_SHARE = 0.85
TRIES = 8
ClassKey = tuple[str, int]


@dataclass(frozen=True)
class EpisodeSpec:
    """What the episodes of one step look like: episodes a batch, supports, side in pixels."""

    batch: int
    shots: int
    size: int


@dataclass(frozen=True)
class Episodes:
    """A batch of episodes.

    Attributes:
        support_images: (B,K,3,S,S) float32 RGB in [0, 1].
        support_masks: (B,K,S,S) float32 of 0 and 1.
        query_images: (B,3,S,S).
        query_masks: (B,S,S) int64 of 0 and 1.
        classes: (B,) int64, which class each episode is of.
    """

    support_images: Tensor
    support_masks: Tensor
    query_images: Tensor
    query_masks: Tensor
    classes: Tensor


def classes_of(images: Sequence[AnnotatedImage]) -> dict[ClassKey, list[AnnotatedImage]]:
    """The images that show each class, classes with fewer than two left out."""
    found: dict[ClassKey, list[AnnotatedImage]] = {}
    for image in images:
        for category in sorted(set(image.categories)):
            found.setdefault((image.dataset, category), []).append(image)
    return {key: shown for key, shown in found.items() if len({image.source for image in shown}) > 1}


def split_classes(
    images: Sequence[AnnotatedImage], holdout: float
) -> tuple[dict[ClassKey, list[AnnotatedImage]], dict[ClassKey, list[AnnotatedImage]]]:
    """Split the classes into training and validation by a hash of their names."""
    parts: tuple[dict[ClassKey, list[AnnotatedImage]], dict[ClassKey, list[AnnotatedImage]]] = ({}, {})
    for (dataset, category), shown in classes_of(images).items():
        share = zlib.crc32(f"{dataset}:{category}".encode()) / 2**32
        parts[share < holdout][dataset, category] = shown
    return parts


class EpisodeStream:
    """Batches of episodes; the batch of a step depends on the seed and the step alone, so training can be resumed.

    Args:
        classes: the images of each class.
        seed: of everything drawn.
        device: where the batches go.

    Raises:
        ConfigError: there is no class.
    """

    def __init__(self, classes: dict[ClassKey, list[AnnotatedImage]], seed: int, device: torch.device) -> None:
        if not classes:
            raise ConfigError("no class is in two images", fix="give COCO instances files with several images a class")
        self.classes = classes
        self.keys = list(classes)
        self.seed = seed
        self.device = device
        # Small classes are drawn less often than large ones, but not as seldom as they are.
        weights = np.array([len(shown) for shown in classes.values()]) ** 0.5
        self.weights = weights / weights.sum()

    def batch(self, step: int, spec: EpisodeSpec) -> Episodes:
        """Draw the batch of one step."""
        rng = np.random.default_rng((self.seed, step))
        drawn = [self._episode(rng, spec) for _ in range(spec.batch)]
        images, masks, keys = (np.stack(part) for part in zip(*drawn, strict=True))  # (B,K+1,S,S,3), (B,K+1,S,S), (B,)
        pictures = torch.from_numpy(images).to(self.device).permute(0, 1, 4, 2, 3).float() / 255.0
        labels = torch.from_numpy(masks).to(self.device)
        return Episodes(
            pictures[:, 1:],
            labels[:, 1:].float(),
            pictures[:, 0],
            labels[:, 0].long(),
            torch.from_numpy(keys).to(self.device),
        )

    def stream(self, start: int, stop: int, spec_of: Callable[[int], EpisodeSpec]) -> Iterator[Episodes]:
        """Yield the batches of the steps from `start` to `stop` - 1, drawn ahead in a thread."""
        yield from read_ahead((self.batch(step, spec_of(step)) for step in range(start, stop)), QUEUE_LENGTH)

    def _episode(
        self, rng: np.random.Generator, spec: EpisodeSpec
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], int]:
        number = int(rng.choice(len(self.keys), p=self.weights))
        key = self.keys[number]
        shown = self.classes[key]
        order = rng.permutation(len(shown))
        query = shown[order[0]]
        others = [shown[i] for i in order[1:] if shown[i].source != query.source] or [shown[i] for i in order[1:]]
        chosen = [query, *(others[k % len(others)] for k in range(spec.shots))]
        samples = [_sample(rng, image, key[1], spec.size) for image in chosen]
        return np.stack([image for image, _ in samples]), np.stack([mask for _, mask in samples]), number


def _sample(
    rng: np.random.Generator, record: AnnotatedImage, category: int, size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A crop (S,S,3) of an image in which a class can be seen, and its mask (S,S)."""
    rles = [s for s, c in zip(record.segmentations, record.categories, strict=True) if c == category]
    mask = coco_mask.decode(coco_mask.merge(rles))
    flip = bool(rng.random() < 0.5)
    box: Box = (0.0, 0.0, float(record.width), float(record.height))
    small = resize_mask(mask, box, size, flip=flip)
    for _ in range(TRIES):
        tried = _crop(rng, mask)
        cut = resize_mask(mask, tried, size, flip=flip)
        if FEWEST_PIXELS <= cut.mean() <= LARGEST_SHARE:
            box, small = tried, cut
            break
    return resize_crop(cached_image(record.path), box, size, flip=flip), small


def _crop(rng: np.random.Generator, mask: npt.NDArray[np.uint8]) -> Box:
    """A square crop of 50 to 100 % of the short side around a random pixel of the class."""
    height, width = mask.shape
    side = min(height, width) * rng.uniform(0.5, 1.0)
    rows, columns = np.nonzero(mask)
    pick = int(rng.integers(rows.size)) if rows.size else 0
    y, x = (rows[pick], columns[pick]) if rows.size else (height / 2, width / 2)
    left = np.clip(x - side * rng.uniform(0.2, 0.8), 0, width - side)
    top = np.clip(y - side * rng.uniform(0.2, 0.8), 0, height - side)
    return float(left), float(top), float(left + side), float(top + side)
