"""Few-shot episodes from annotated images: groups of images that show one class, with its masks.

A class is a category of one data set; its mask in an image is the union of its objects. Images and masks are drawn on
the host and change their colours on the device. Shape letters: B groups, M images a group, S side of an image.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask

from vossegcli.data.augment import jitter_colour
from vossegcli.data.textures import CropBox, cached_image, resize_crop, resize_mask
from vossegcli.errors import ConfigError
from vossegcli.io.media.ahead import read_ahead
from vossegcli.samples import EpisodeSamples
from vossegcli.types import AnnotatedImage

QUEUE_LENGTH = 4
FEWEST_PIXELS = 0.01  # share of the crop
LARGEST_SHARE = 0.85
TRIES = 8
CROPS = (0.55, 1.0)  # of the short side; narrower ones teach that a class fills its image
COLOUR = 0.3  # largest relative change
ClassKey = tuple[str, int]


@dataclass(frozen=True)
class EpisodeSpec:
    """Shape of the episodes of one step.

    Attributes:
        batch: groups.
        shots: maximum supports per image; a group has one image more.
        size: side in pixels.
        jitter: change the colours.
    """

    batch: int
    shots: int
    size: int
    jitter: bool = True


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
        self.number_of = {key: number for number, key in enumerate(self.keys)}
        self.datasets = np.unique([dataset for dataset, _ in self.keys], return_inverse=True)[1]
        self.seed = seed
        self.device = device
        # Small classes are drawn less often than large ones, but not as seldom as they are.
        weights = np.array([len(shown) for shown in classes.values()]) ** 0.25
        self.weights = weights / weights.sum()

    def batch(self, step: int, spec: EpisodeSpec) -> EpisodeSamples:
        """Draw the batch of one step: the first image of each group has all the others as supports."""
        rng = np.random.default_rng((self.seed, step))
        numbers = self._numbers(rng, spec.batch)
        groups = [self._group(rng, number, spec) for number in numbers]
        images, labels, masks = (np.stack(part) for part in zip(*groups, strict=True))
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        pictures = torch.from_numpy(images).to(self.device).permute(0, 1, 4, 2, 3).float() / 255.0
        coloured = jitter_colour(pictures.flatten(0, 1).unsqueeze(1), COLOUR, generator).view_as(pictures)
        return EpisodeSamples(
            coloured if spec.jitter else pictures,
            torch.from_numpy(masks).to(self.device).float(),
            torch.from_numpy(np.stack([_choose_supports(rng, spec.shots + 1) for _ in numbers])).to(self.device),
            torch.from_numpy(labels).to(self.device),
            torch.tensor(numbers, device=self.device),
        )

    def stream(self, start: int, stop: int, spec_of: Callable[[int], EpisodeSpec]) -> Iterator[EpisodeSamples]:
        """Yield the batches of the steps from `start` to `stop` - 1, drawn ahead in a thread."""
        yield from read_ahead((self.batch(step, spec_of(step)) for step in range(start, stop)), QUEUE_LENGTH)

    def _numbers(self, rng: np.random.Generator, count: int) -> list[int]:
        """Draw classes in pairs of one data set, so that a batch also tells like from like."""
        numbers: list[int] = []
        while len(numbers) < count:
            first = int(rng.choice(len(self.keys), p=self.weights))
            weights = np.where(self.datasets == self.datasets[first], self.weights, 0.0)
            numbers += [first, int(rng.choice(len(self.keys), p=weights / weights.sum()))]
        return numbers[:count]

    def _group(
        self, rng: np.random.Generator, number: int, spec: EpisodeSpec
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Images (M,S,S,3), labels and masks (M,S,S) of a class; no two of one source if there are enough."""
        shown = self.classes[self.keys[number]]
        chosen: dict[str, AnnotatedImage] = {}
        order = [shown[i] for i in rng.permutation(len(shown))]
        for image in order:
            chosen.setdefault(image.source, image)
        pool = list(chosen.values())
        picked = [pool[k % len(pool)] for k in range(spec.shots + 1)]
        images, labels, masks = zip(*(self._sample(rng, image, number, spec.size) for image in picked), strict=True)
        return np.stack(images), np.stack(labels), np.stack(masks)

    def _sample(
        self, rng: np.random.Generator, record: AnnotatedImage, number: int, size: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """A crop (S,S,3) of an image in which a class can be seen, its labels and the class's mask (S,S)."""
        masks = {k: class_mask(record, key[1]) for k, key in self._shown(record)}
        flip = bool(rng.random() < 0.5)
        box: CropBox = (0.0, 0.0, float(record.width), float(record.height))
        small = resize_mask(masks[number], box, size, flip=flip)
        for _ in range(TRIES):
            tried = _crop(rng, masks[number])
            cut = resize_mask(masks[number], tried, size, flip=flip)
            if FEWEST_PIXELS <= cut.mean() <= LARGEST_SHARE:
                box, small = tried, cut
                break
        labels = np.full((size, size), -1 - int(self.datasets[number]), np.int64)
        for k in sorted(masks, key=lambda k: -int(masks[k].sum())):  # smaller classes lie on larger ones
            labels[resize_mask(masks[k], box, size, flip=flip) > 0] = k + 1
        return resize_crop(cached_image(record.path), box, size, flip=flip), labels, small > 0

    def _shown(self, record: AnnotatedImage) -> list[tuple[int, ClassKey]]:
        keys = [(record.dataset, category) for category in sorted(set(record.categories))]
        return [(self.number_of[key], key) for key in keys if key in self.number_of]


def class_mask(record: AnnotatedImage, category: int) -> npt.NDArray[np.uint8]:
    """The union (H,W) of 0/1 of an image's objects of a category."""
    rles = [s for s, c in zip(record.segmentations, record.categories, strict=True) if c == category]
    mask: npt.NDArray[np.uint8] = coco_mask.decode(coco_mask.merge(rles))
    return mask


def _choose_supports(rng: np.random.Generator, images: int) -> npt.NDArray[np.bool_]:
    """For each image of a group, a random number of random others (M,M); for the first, all."""
    chosen = np.zeros((images, images), np.bool_)
    for row in range(images):
        others = rng.permutation(np.delete(np.arange(images), row))
        chosen[row, others[: others.size if row == 0 else rng.integers(1, others.size + 1)]] = True
    return chosen


def _crop(rng: np.random.Generator, mask: npt.NDArray[np.uint8]) -> CropBox:
    """A square crop of `CROPS` of the short side around a random pixel of the class."""
    height, width = mask.shape
    side = min(height, width) * rng.uniform(*CROPS)
    rows, columns = np.nonzero(mask)
    pick = int(rng.integers(rows.size)) if rows.size else 0
    y, x = (rows[pick], columns[pick]) if rows.size else (height / 2, width / 2)
    left = np.clip(x - side * rng.uniform(0.2, 0.8), 0, width - side)
    top = np.clip(y - side * rng.uniform(0.2, 0.8), 0, height - side)
    return float(left), float(top), float(left + side), float(top + side)
