"""Drawing of layers for synthetic clips from still images: backgrounds with their objects, and cut-outs.

Everything here runs on the host with NumPy; `synthetic` sets the layers in motion on the training device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask
from scipy import ndimage

from vossegcli.data.cache import ArrayCache
from vossegcli.errors import ConfigError
from vossegcli.io.media.images import read_image
from vossegcli.types import AnnotatedImage

UInt8 = npt.NDArray[np.uint8]
Kind = tuple[str, int]
MIN_OBJECT_PIXELS = 120
_IMAGES: ArrayCache[Path] = ArrayCache()


@dataclass(frozen=True)
class Background:
    """A crop of an image as (S,S,3) uint8 with masks (N,S,S) of 0/1 that move along with it."""

    image: UInt8
    masks: UInt8


@dataclass(frozen=True)
class Cutout:
    """An object on a texture of its own: (S,S,3) uint8, mask (S,S) of 0/1; data set and category, where annotated."""

    image: UInt8
    mask: UInt8
    kind: Kind | None = None

    @property
    def layer(self) -> UInt8:
        """Image and mask as (4,S,S), the mask as 0/255."""
        return np.concatenate([self.image.transpose(2, 0, 1), self.mask[None] * np.uint8(255)])


class TextureSource:
    """Draws backgrounds and cut-outs from annotated images, data sets weighted by the root of their size.

    Args:
        images: the pool.
        size: side of the square textures in pixels.
        pseudo_objects: share of the cut-outs that are unsupervised regions (Felzenszwalb) or random blobs.

    Raises:
        ConfigError: the pool is empty.
    """

    def __init__(self, images: Sequence[AnnotatedImage], size: int, pseudo_objects: float) -> None:
        if not images:
            raise ConfigError("no training images", fix="give COCO instances files with --data")
        self.images = list(images)
        self.size = size
        self.pseudo_objects = pseudo_objects
        counts: dict[str, int] = {}
        for image in self.images:
            counts[image.dataset] = counts.get(image.dataset, 0) + 1
        weights = np.array([counts[image.dataset] ** -0.5 for image in self.images])
        self.weights = weights / weights.sum()
        self.with_objects = np.array([bool(image.segmentations) for image in self.images])
        object_weights = self.weights * self.with_objects
        self.object_weights = object_weights / object_weights.sum()
        self._objects: dict[Kind, list[tuple[int, int]]] = {}
        for index, image in enumerate(self.images):
            for number, category in enumerate(image.categories):
                self._objects.setdefault((image.dataset, category), []).append((index, number))

    def background(self, rng: np.random.Generator, objects: int) -> Background:
        """Draw a random crop of an image and up to `objects` of the masks that lie in it."""
        weights = self.object_weights if objects else self.weights
        record = self.images[rng.choice(len(self.images), p=weights)]
        image = cached_image(record.path)
        box = _random_crop(rng, record.height, record.width)
        flip = bool(rng.random() < 0.5)
        picture = resize_crop(image, box, self.size, flip=flip)
        chosen = rng.permutation(len(record.segmentations))[: 3 * objects]
        masks = [resize_mask(_decode(record, int(i)), box, self.size, flip=flip) for i in chosen]
        if objects and rng.random() < 0.3:  # a region of the picture itself, where no annotation is asked for
            masks = [_region(rng, picture), *masks]
        kept = [m for m in masks if MIN_OBJECT_PIXELS <= m.sum() <= 0.6 * m.size][:objects]
        stacked = np.stack(kept) if kept else np.zeros((0, self.size, self.size), np.uint8)
        return Background(picture, stacked)

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """Draw an object: an annotated one, an unsupervised region, or a random blob of texture."""
        if rng.random() < self.pseudo_objects:
            return pseudo_cutout(rng, self.background(rng, 0).image)
        index = int(rng.choice(len(self.images), p=self.object_weights))
        return self._cut_out(index, int(rng.integers(len(self.images[index].segmentations))), rng)

    def another(self, kind: Kind, rng: np.random.Generator) -> Cutout:
        """Draw an annotated object of a class."""
        objects = self._objects[kind]
        return self._cut_out(*objects[rng.integers(len(objects))], rng)

    def _cut_out(self, index: int, number: int, rng: np.random.Generator) -> Cutout:
        record = self.images[index]
        mask = _decode(record, number)
        box = _box_around(rng, mask)
        flip = bool(rng.random() < 0.5)
        small = resize_mask(mask, box, self.size, flip=flip)
        picture = resize_crop(cached_image(record.path), box, self.size, flip=flip)
        return Cutout(picture, small, (record.dataset, record.categories[number]))


def pseudo_cutout(rng: np.random.Generator, picture: UInt8) -> Cutout:
    """Draw an object that nobody annotated on a picture (S,S,3): an unsupervised region or a random blob."""
    mask = _region(rng, picture) if rng.random() < 0.6 else _blob(rng, picture.shape[0])
    return Cutout(picture, mask)


def cached_image(path: Path) -> UInt8:
    """Read an image (H,W,3) and keep it for the next time; not to be changed."""
    return _IMAGES.get(path, lambda: read_image(path))


def _decode(record: AnnotatedImage, index: int) -> UInt8:
    mask: UInt8 = coco_mask.decode(record.segmentations[index])
    return mask


CropBox = tuple[float, float, float, float]


def _random_crop(rng: np.random.Generator, height: int, width: int) -> CropBox:
    """Draw a nearly square crop (left, top, right, bottom) that covers 35 to 100 % of the short side."""
    side = min(height, width) * rng.uniform(0.35, 1.0)
    wide = min(width, side * rng.uniform(0.8, 1.25))
    high = min(height, side)
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    return left, top, left + wide, top + high


def _box_around(rng: np.random.Generator, mask: UInt8) -> CropBox:
    """Square box around a mask with a random margin, so that the object fills 45 to 90 % of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return 0.0, 0.0, float(mask.shape[1]), float(mask.shape[0])
    centre_x, centre_y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    half = 0.5 * max(columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1) / rng.uniform(0.45, 0.9)
    return centre_x - half, centre_y - half, centre_x + half, centre_y + half


def resize_crop(image: UInt8, box: CropBox, size: int, *, flip: bool) -> UInt8:
    """Cut a box (it may reach over the border, where the border repeats) and resize to (S,S,3)."""
    padded, inner = _pad_to_box(image, box, "edge")
    resized = Image.fromarray(padded).resize((size, size), Image.Resampling.BILINEAR, box=inner)
    array = np.asarray(resized)
    return np.ascontiguousarray(array[:, ::-1]) if flip else array


def resize_mask(mask: UInt8, box: CropBox, size: int, *, flip: bool) -> UInt8:
    """Cut a box out of a mask (H,W) of 0/1, zeros beyond the border, and resize to (S,S); threshold at one half."""
    padded, inner = _pad_to_box(mask * np.uint8(255), box, "constant")
    resized = Image.fromarray(padded).resize((size, size), Image.Resampling.BILINEAR, box=inner)
    array = (np.asarray(resized) > 127).astype(np.uint8)
    return np.ascontiguousarray(array[:, ::-1]) if flip else array


def _pad_to_box(array: UInt8, box: CropBox, mode: str) -> tuple[UInt8, CropBox]:
    left, top, right, bottom = box
    pads = [max(0, int(np.ceil(v))) for v in (-left, -top, right - array.shape[1], bottom - array.shape[0])]
    if not any(pads):
        return array, box
    widths = [(pads[1], pads[3]), (pads[0], pads[2])] + [(0, 0)] * (array.ndim - 2)
    padded = np.pad(array, widths, mode=mode)  # type: ignore[call-overload]
    return padded, (left + pads[0], top + pads[1], right + pads[0], bottom + pads[1])


def _region(rng: np.random.Generator, image: UInt8) -> UInt8:
    """An unsupervised region of a picture: up to three neighbouring segments of Felzenszwalb's, from a small copy."""
    from skimage.segmentation import felzenszwalb  # the extra `train`; a second to import

    size, small = image.shape[0], 64
    picture = np.asarray(Image.fromarray(image).resize((small, small), Image.Resampling.BILINEAR))
    labels = felzenszwalb(picture, scale=float(rng.uniform(60, 400)), sigma=0.6, min_size=40)
    areas = np.bincount(labels.ravel())
    fitting = np.flatnonzero((areas > 60) & (areas < 0.4 * small * small))
    if fitting.size == 0:
        return _blob(rng, size)
    region = labels == rng.choice(fitting)
    for _ in range(rng.choice(3, p=(0.5, 0.3, 0.2))):
        beside = np.intersect1d(labels[ndimage.binary_dilation(region) & ~region], fitting)
        if beside.size and region.sum() < 0.3 * small * small:
            region |= labels == rng.choice(beside)
    region = ndimage.binary_fill_holes(ndimage.binary_opening(region, iterations=1) | region)
    smooth = ndimage.zoom(region.astype(np.float32), size / small, order=1)[:size, :size]
    mask: UInt8 = (smooth > 0.5).astype(np.uint8)
    return mask


def _blob(rng: np.random.Generator, size: int) -> UInt8:
    """A random blob: smooth noise on top of a disc, thresholded; the largest piece."""
    noise = ndimage.zoom(rng.standard_normal((7, 7)), size / 7, order=3)[:size, :size]
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    field = 0.9 - 1.6 * np.hypot(x * rng.uniform(0.7, 1.4), y * rng.uniform(0.7, 1.4)) + 0.35 * noise
    pieces, _ = ndimage.label(field > 0)
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    mask: UInt8 = (pieces == areas.argmax()).astype(np.uint8)
    return mask
