"""Training samples with instances: crops at many scales, turned, with objects of other images pasted in.

Everything is drawn on the host as maps of ids, where a pixel belongs to the smallest instance that covers it; colours
change on the device. Shape letters: B images, n instances of an image, S side of a crop, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from scipy import ndimage

from vossegcli.data.augment import jitter_colour, recolour_some
from vossegcli.data.cache import ArrayCache
from vossegcli.data.textures import CropBox, cached_image, resize_crop
from vossegcli.errors import ConfigError
from vossegcli.io.media.ahead import read_ahead
from vossegcli.samples import InstanceSamples
from vossegcli.types import AnnotatedImage

QUEUE_LENGTH = 4
SMALLEST = 12  # pixels; what is left of an instance at the border of a crop must be larger
SMALLEST_SCALE, LARGEST_SCALE = 0.6, 1.7  # of an image, before it is cropped
COLOUR = 0.35  # largest relative change
PASTE = 0.3  # share of the crops that get objects of another one
FAR = 0.1  # of the crop's side: a distance from which on all boundaries are equally far

IdsMap = npt.NDArray[np.int32]


@dataclass(frozen=True)
class InstanceSpec:
    """Shape of the samples of one step.

    Attributes:
        batch: images.
        size: side of the crops in pixels.
        short_side: what an image's short side is brought to before it is cropped, times a random factor.
        turns: turn by quarters and upside down too, as for pictures without an up.
        recolour: share of the pictures whose colours are exchanged.
    """

    batch: int
    size: int
    short_side: int
    turns: bool
    recolour: float = 0.0


@dataclass(frozen=True)
class Crop:
    """A picture (S,S,3), the ids (S,S) of its instances (i + 1), and their labels (n,)."""

    image: npt.NDArray[np.uint8]
    ids: IdsMap
    labels: npt.NDArray[np.int64]


class InstanceStream:
    """Batches of samples; the batch of a step depends on the seed and the step alone, so training can be resumed.

    Several data sets are drawn from in proportion to the roots of their sizes, so that a small one is seen too.

    Args:
        images: the pool; images without instances count too.
        labels: number of each class by its name.
        seed: of everything drawn.
        device: where the batches go.
        partly_annotated: data sets whose pictures also hold objects without an annotation.
        workers: threads that draw the images of a batch.

    Raises:
        ConfigError: no image has an instance, or a name in `partly_annotated` is of no data set.
    """

    def __init__(
        self, images: Sequence[AnnotatedImage], labels: Mapping[str, int], seed: int, device: torch.device,
        partly_annotated: Sequence[str] = (), workers: int = 2,
    ) -> None:  # fmt: skip
        if not any(image.segmentations for image in images):
            raise ConfigError("no training images with instances", fix="give COCO instances files with --data")
        names = sorted({image.dataset for image in images})
        for name in partly_annotated:
            if name not in names:
                raise ConfigError(f"partly_annotated: no data set is named '{name}'", fix=f"use {', '.join(names)}")
        self._partly_annotated = frozenset(partly_annotated)
        self.images = list(images)
        self.labels = dict(labels)
        self._sets = {name: [k for k, image in enumerate(self.images) if image.dataset == name]
                      for name in dict.fromkeys(image.dataset for image in self.images)}  # fmt: skip
        shares = np.sqrt([len(members) for members in self._sets.values()])
        self._shares = shares / shares.sum()
        self.seed = seed
        self.device = device
        self.workers = workers
        self._ids_maps: ArrayCache[int] = ArrayCache()

    def batch(self, step: int, spec: InstanceSpec) -> InstanceSamples:
        """Draw the batch of one step."""
        seeds = np.random.SeedSequence((self.seed, step)).spawn(spec.batch + 1)
        with ThreadPoolExecutor(self.workers) as pool:
            drawn = list(pool.map(lambda seed: self._sample(np.random.default_rng(seed), spec), seeds[:-1]))
        crops = [crop for _, crop in drawn]
        generator = torch.Generator(self.device).manual_seed(int(seeds[-1].generate_state(1)[0]))
        pictures = torch.from_numpy(np.stack([crop.image for crop in crops])).to(self.device)
        clips = recolour_some(pictures.permute(0, 3, 1, 2).float().unsqueeze(1) / 255.0, spec.recolour, generator)
        coloured = jitter_colour(clips, COLOUR, generator)
        ids = torch.from_numpy(np.stack([crop.ids for crop in crops])).long().to(self.device)
        classes = np.stack([np.concatenate([[0], crop.labels + 1])[crop.ids] for crop in crops])
        distance = np.stack([boundary_distance(crop.ids) for crop in crops])
        boxes = [boxes_of_ids(crop.ids, len(crop.labels)) for crop in crops]
        annotated = None
        if self._partly_annotated:
            complete = [data_set not in self._partly_annotated for data_set, _ in drawn]
            areas = [annotated_area(own, spec.size, complete=whole) for own, whole in zip(boxes, complete, strict=True)]
            annotated = torch.from_numpy(np.stack(areas)).to(self.device)
        return InstanceSamples(
            coloured[:, 0].contiguous(memory_format=torch.channels_last),
            ids,
            tuple(torch.from_numpy(own) for own in boxes),
            tuple(torch.from_numpy(crop.labels) for crop in crops),
            torch.from_numpy(classes).long().to(self.device),
            torch.from_numpy(distance).to(self.device),
            annotated,
        )

    def stream(self, start: int, stop: int, spec_of: Callable[[int], InstanceSpec]) -> Iterator[InstanceSamples]:
        """Yield the batches of the steps from `start` to `stop` - 1, drawn ahead in a thread."""
        yield from read_ahead((self.batch(step, spec_of(step)) for step in range(start, stop)), QUEUE_LENGTH)

    def _sample(self, rng: np.random.Generator, spec: InstanceSpec) -> tuple[str, Crop]:
        """Draw a data set and a crop of it."""
        data_set = self.draw_set(rng)
        crop = self.draw_crop(rng, spec, data_set)
        if rng.random() < PASTE:
            crop = _paste(rng, crop, self.draw_crop(rng, spec, data_set))
        return data_set, crop

    def draw_set(self, rng: np.random.Generator) -> str:
        """Draw a data set."""
        return str(rng.choice(list(self._sets), p=self._shares))

    def draw_crop(self, rng: np.random.Generator, spec: InstanceSpec, data_set: str) -> Crop:
        """Draw one crop of one image of a data set."""
        number = int(rng.choice(self._sets[data_set]))
        record = self.images[number]
        factor = (
            spec.short_side
            / min(record.height, record.width)
            * np.exp(rng.uniform(np.log(SMALLEST_SCALE), np.log(LARGEST_SCALE)))
        )
        side = spec.size / factor  # of the crop, in pixels of the stored image
        left = rng.uniform(min(0.0, record.width - side), max(0.0, record.width - side))
        top = rng.uniform(min(0.0, record.height - side), max(0.0, record.height - side))
        box = (left, top, left + side, top + side)
        image = resize_crop(cached_image(record.path), box, spec.size, flip=False)
        ids = _resize_ids(self._ids_maps.get(number, lambda: ids_map_of(record)), box, spec.size)
        turns = int(rng.integers(4)) if spec.turns else 0
        flip = bool(rng.random() < 0.5)
        way = -1 if flip else 1
        image = np.ascontiguousarray(np.rot90(image, turns)[:, ::way])
        return _compact(
            image, np.rot90(ids, turns)[:, ::way], np.array([self.labels[n] for n in record.names], np.int64)
        )


def ids_map_of(record: AnnotatedImage) -> IdsMap:
    """The instances of an image as ids (H,W), i + 1 for the i-th; smaller ones lie on larger ones."""
    ids = np.zeros((record.height, record.width), np.int32)
    areas = [coco_mask.area(rle) for rle in record.segmentations]  # a list of over 255 at once raises OverflowError
    for index in sorted(range(len(record.segmentations)), key=lambda k: -int(areas[k])):
        ids[coco_mask.decode(record.segmentations[index]) > 0] = index + 1
    return ids


def boxes_of_ids(ids: IdsMap, count: int) -> npt.NDArray[np.float32]:
    """Boxes (n,4) as (x1, y1, x2, y2) of ids 1..n, all of which are there."""
    found = ndimage.find_objects(ids, count)
    return np.array([[x.start, y.start, x.stop, y.stop] for y, x in found], np.float32).reshape(-1, 4)


def annotated_area(boxes: npt.NDArray[np.float32], size: int, *, complete: bool) -> npt.NDArray[np.bool_]:
    """Pixels (S,S) whose annotation can be believed: all, or those inside the boxes (n,4) of what is annotated."""
    area = np.full((size, size), complete)
    for left, top, right, bottom in boxes.astype(int):
        area[top:bottom, left:right] = True
    return area


def boundary_distance(ids: IdsMap) -> npt.NDArray[np.float32]:
    """Distance (H,W) of each pixel to the nearest change of ids, 1 from a tenth of the side on."""
    change = np.zeros(ids.shape, np.bool_)
    change[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    change[1:] |= ids[1:] != ids[:-1]
    if not change.any():
        return np.ones(ids.shape, np.float32)
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(~change)
    share: npt.NDArray[np.float32] = np.minimum(distance / (FAR * ids.shape[0]), 1.0).astype(np.float32)
    return share


def _resize_ids(ids: IdsMap, box: CropBox, size: int) -> IdsMap:
    """Cut a box out, zeros beyond the border, and resize to (S,S) by nearest neighbour."""
    left, top, right, bottom = box
    before = (max(0, int(np.ceil(-top))), max(0, int(np.ceil(-left))))
    after = (max(0, int(np.ceil(bottom - ids.shape[0]))), max(0, int(np.ceil(right - ids.shape[1]))))
    padded = np.pad(ids, ((before[0], after[0]), (before[1], after[1])))
    inner = (left + before[1], top + before[0], right + before[1], bottom + before[0])
    return np.asarray(Image.fromarray(padded).resize((size, size), Image.Resampling.NEAREST, box=inner))


def _compact(image: npt.NDArray[np.uint8], ids: IdsMap, labels: npt.NDArray[np.int64]) -> Crop:
    """Drop instances of which next to nothing is left, and number the others 1, 2, ..."""
    areas = np.bincount(ids.ravel(), minlength=len(labels) + 1)
    kept = np.flatnonzero(areas[1:] >= SMALLEST) + 1
    table = np.zeros(len(areas), np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return Crop(image, table[ids], labels[kept - 1])


def _paste(rng: np.random.Generator, onto: Crop, other: Crop) -> Crop:
    """Put some instances of one crop over another (Ghiasi et al., CVPR 2021)."""
    count = len(other.labels)
    if not count:
        return onto
    chosen = np.flatnonzero(rng.random(count) < 0.5) + 1
    cover = np.isin(other.ids, chosen)
    image = np.where(cover[:, :, None], other.image, onto.image)
    ids = np.where(cover, other.ids + len(onto.labels), onto.ids)
    return _compact(image, ids, np.concatenate([onto.labels, other.labels]))
