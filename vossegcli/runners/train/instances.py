"""Training and validation of systems for instances: crops of annotated images, and AP on whole ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from vossegcli.data.clips import split_by_source
from vossegcli.data.instance_clips import InstanceClipStream
from vossegcli.data.instances import InstanceSpec
from vossegcli.data.textures import cached_image
from vossegcli.errors import ConfigError
from vossegcli.io.results.instances import coco_results
from vossegcli.io.results.overlays import data_uri, draw_overlay
from vossegcli.metrics.instance import instance_precision
from vossegcli.ops.images import image_tensor
from vossegcli.ops.masks import paste_mask, pasted_instances
from vossegcli.runners.train.samples import holdout_note
from vossegcli.samples import InstanceSamples
from vossegcli.systems.base import InstancePredictor, Instances
from vossegcli.training.settings import TrainingSettings
from vossegcli.types import AnnotatedImage, Task

MOST_INSTANCES = 1000  # an image, in validation
REPORT_PICTURES = 6
REPORT_SCORE = 0.4


class TrainingInstances:
    """Crops of annotated images; validation on images of their own, or on those of some sources.

    Args:
        images: the pool.
        validation: images to validate on; empty = a part of the pool's sources.
        settings: of the run.
        device: where the batches go.

    Raises:
        ConfigError: no image has an instance, or data sets are partly annotated and the system takes none.
    """

    judge: Task = "instance"
    takes_partly_annotated = True

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        validation: Sequence[AnnotatedImage],
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        if settings.partly_annotated and not self.takes_partly_annotated:
            raise ConfigError(
                "partly_annotated is for instances in images, not in videos", fix="leave such data sets out"
            )
        self._settings = settings
        if settings.class_agnostic:
            images, validation = _as_objects(images), _as_objects(validation)
        training, held_out = split_by_source(images, 0.0 if validation else settings.holdout)
        self._validation = list(validation) or held_out
        names = dict.fromkeys(name for image in [*images, *validation] for name in image.names)
        self.labels = tuple(names)
        numbers = {name: number for number, name in enumerate(self.labels)}
        self._numbers = numbers
        self._training = training
        self._stream = InstanceClipStream(training, numbers, settings.seed, device, settings.partly_annotated)

    @property
    def facts(self) -> dict[str, Any]:
        """The numbers of images and instances."""
        count = sum(len(image.segmentations) for image in self._training)
        return {"images": len(self._training), "instances": count, "held_out_images": len(self._validation)}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by their numbers in the samples."""
        return self.labels

    @property
    def notes(self) -> list[str]:
        """Number of pictures that are held out."""
        return [holdout_note(len(self._training), self._validation)]

    def batches(self, start: int) -> Iterator[InstanceSamples]:
        """Yield the samples from a step on."""
        yield from self._stream.stream(start, self._settings.total_steps, self._spec)

    def _spec(self, step: int) -> InstanceSpec:
        stage, _ = self._settings.locate(step)
        return InstanceSpec(stage.batch, stage.size, stage.short_side, self._settings.turns, stage.recolour)

    def validate(self, predictor: InstancePredictor) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Measure AP of masks on the whole validation images, and draw some of them."""
        results: list[dict[str, Any]] = []
        pictures: list[tuple[str, str]] = []
        for number, record in enumerate(self._validation):
            image = cached_image(record.path)
            (found,) = predictor.predict(image_tensor(image).unsqueeze(0))
            size = (image.shape[0], image.shape[1])
            ids = range(1, len(self.labels) + 1)
            results += coco_results(pasted_instances(found, size), size, number + 1, ids)
            if len(pictures) < REPORT_PICTURES:
                caption = f"{int((found.scores > REPORT_SCORE).sum())} found, {len(record.segmentations)} annotated"
                pictures.append((caption, data_uri(_picture(image, found))))
        if not any(image.segmentations for image in self._validation):
            return {}, pictures
        numbers = instance_precision(self._truth(), results, "segm", max_dets=MOST_INSTANCES).numbers
        return {f"validation_{name}": round(numbers[name], 4) for name in ("AP", "AP50", "AP75")}, pictures

    def _truth(self) -> dict[str, Any]:
        annotations: list[dict[str, Any]] = []
        for number, image in enumerate(self._validation):
            for rle, name in zip(image.segmentations, image.names, strict=True):
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number + 1, "category_id": self._numbers[name] + 1,
                    "segmentation": rle, "area": float(coco_mask.area(rle)), "iscrowd": 0,
                    "bbox": coco_mask.toBbox(rle).tolist(),
                })  # fmt: skip
        images = [{"id": k + 1, "height": i.height, "width": i.width} for k, i in enumerate(self._validation)]
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(self.labels)]
        return {"images": images, "annotations": annotations, "categories": categories}


class TrainingTracks(TrainingInstances):
    """Crops of images, and synthetic clips of two frames in the stages that ask for frames; validation on images."""

    takes_partly_annotated = False  # its queries compete for every instance of a picture

    def batches(self, start: int) -> Iterator[Any]:
        """Yield the samples from a step on, stage by stage."""
        first = 0
        for stage in self._settings.stages:
            stop = first + stage.steps
            if start < stop:
                steps = (max(start, first), stop, self._spec)
                yield from self._stream.stream(*steps) if stage.frames == 1 else self._stream.stream_clips(*steps)
            first = stop


def _as_objects(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Give all instances one class, `object`."""
    return [replace(image, names=("object",) * len(image.names)) for image in images]


def _picture(image: np.ndarray, found: Instances) -> np.ndarray:
    """The instances that are sure, over their image."""
    height, width = image.shape[:2]
    ids = np.zeros((height, width), np.uint8)
    for number in reversed(range(int((found.scores > REPORT_SCORE).sum()))):
        top, left, region = paste_mask(found.masks[number].cpu(), found.regions[number].cpu(), (height, width))
        part = ids[top : top + region.shape[0], left : left + region.shape[1]]
        part[region.numpy()] = number % 254 + 1
    return draw_overlay(image, ids)
