"""Samples for training and validation, by task: synthetic clips, or few-shot episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vossegcli.data.clips import ClipSpec, ClipStream, split_by_source
from vossegcli.data.episodes import EpisodeSpec, EpisodeStream, classes_of, split_classes
from vossegcli.data.real_clips import can_be_followed, videos_of
from vossegcli.errors import ConfigError
from vossegcli.io.results.overlays import data_uri, draw_overlay
from vossegcli.samples import ClipSamples, EpisodeSamples
from vossegcli.systems.base import FewshotPredictor, VideoPredictor
from vossegcli.training.settings import TrainingSettings
from vossegcli.types import AnnotatedImage, Task
from vossegcli.wording import counted

VALIDATION_STEP = 1 << 30  # far from every training step, so that validation samples are never trained on
VALIDATION_BATCHES = 6
VALIDATION_EPISODES = 40
REPORT_PICTURES = 6
NO_VALIDATION = "none are held out, so nothing is measured"

Values = dict[str, float]
Pictures = list[tuple[str, str]]


class TrainingSamples(Protocol):
    """The samples of a run.

    Attributes:
        judge: the task of the predictor that `validate` measures.
    """

    judge: Task

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that the network learns; empty where it learns none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by their numbers in the samples; empty where these have none."""

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of them for the checkpoint's header."""

    @property
    def notes(self) -> list[str]:
        """Remarks for the user: how much is held out, and what cannot be measured."""

    def batches(self, start: int) -> Iterator[Any]:
        """Yield the batches from a step on."""

    def validate(self, predictor: Any) -> tuple[Values, Pictures]:  # noqa: ANN401 - of the task
        """Measure a predictor on held-out samples; return values and (caption, data URI) of some results."""


class TrainingClips:
    """Synthetic clips of annotated images, and clips of annotated videos.

    Args:
        images: the pool.
        validation: images to validate on; empty = a part of the pool's sources.
        settings: of the run.
        device: where clips are rendered.

    Raises:
        ConfigError: no image has an object, or a stage asks for clips of one frame.
    """

    judge: Task = "propagate"
    labels = ()
    names = ()

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        validation: Sequence[AnnotatedImage],
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._device = device
        self._training, held_out = split_by_source(images, 0.0 if validation else settings.holdout)
        self._held_out = list(validation) or held_out
        if not any(image.segmentations for image in self._training):
            raise ConfigError("no training image has an object", fix="give annotated images or videos with --data")
        for stage in settings.stages:
            if stage.frames < 2:
                raise ConfigError(f"stage '{stage.name}': frames is {stage.frames}", fix="give 2 or more")

    @property
    def facts(self) -> dict[str, Any]:
        """The number of images."""
        return {"images": len(self._training)}

    @property
    def notes(self) -> list[str]:
        """Number of pictures that are held out, and of the videos that clips are taken from."""
        notes = [holdout_note(len(self._training), self._held_out)]
        videos = videos_of(self._training)
        followed = sum(can_be_followed(frames) for frames in videos)
        if followed:
            share = self._settings.real_clips
            notes.append(f"{share:.0%} of the clips are taken from annotated videos ({followed})")
        if len(videos) > followed:
            what = counted(len(videos) - followed, f"of {len(videos)} videos show[s|] objects in one frame or none")
            notes.append(f"{what}: no clips are taken from them, only single pictures")
        return notes

    def batches(self, start: int) -> Iterator[ClipSamples]:
        """Yield the clips from a step on."""
        stream = self._stream(self._training)
        yield from stream.stream(start, self._settings.total_steps, self._spec)

    def _stream(self, images: Sequence[AnnotatedImage]) -> ClipStream:
        settings = self._settings
        return ClipStream(images, settings.pseudo_objects, settings.seed, self._device, settings.real_clips)

    def _spec(self, step: int) -> ClipSpec:
        stage, _ = self._settings.locate(step)
        return ClipSpec(stage.batch, stage.size, stage.frames, stage.objects)

    @torch.inference_mode()
    def validate(self, predictor: VideoPredictor) -> tuple[Values, Pictures]:
        """Measure J on held-out synthetic clips, segmented as in use, and draw some of them."""
        if not any(image.segmentations for image in self._held_out):
            return {}, []
        stage = self._settings.stages[-1]
        stream = self._stream(self._held_out)
        spec = ClipSpec(stage.batch, stage.size, max(stage.frames, 6), stage.objects)
        ious: list[float] = []
        pictures: Pictures = []
        for index in range(VALIDATION_BATCHES):
            clips = stream.batch(VALIDATION_STEP + index, spec)
            for clip in range(spec.batch):
                if not bool(clips.labels[clip, 0].any()):
                    continue
                predicted, values = segment_clip(predictor, clips, clip)
                ious += values
                if len(pictures) < REPORT_PICTURES:
                    caption = f"mean J {np.mean(values):.2f}" if values else "no object"
                    pictures.append((caption, data_uri(_picture_of_clip(clips, clip, predicted))))
        if not ious:
            return {}, pictures
        return {"validation_J": round(float(np.mean(ious)), 4), "validation_clips_J_count": len(ious)}, pictures


class TrainingEpisodes:
    """Few-shot episodes of annotated images.

    Args:
        images: the pool.
        validation: images of other classes to validate on; empty = a part of the pool's classes.
        settings: of the run.
        device: where the batches go.

    Raises:
        ConfigError: no class is in two images.
    """

    judge: Task = "fewshot"
    labels = ()

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        validation: Sequence[AnnotatedImage],
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._device = device
        self._training, held_out = split_classes(images, 0.0 if validation else settings.holdout)
        self._held_out = classes_of(validation) or held_out
        self._stream = EpisodeStream(self._training, settings.seed, device)

    @property
    def facts(self) -> dict[str, Any]:
        """The number of classes and of images that show one."""
        images = {image.path for shown in self._training.values() for image in shown}
        held_out = sorted(f"{dataset}:{category}" for dataset, category in self._held_out)
        return {"classes": len(self._training), "images": len(images), "held_out": held_out}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by their numbers in the samples."""
        shown = ((category, images[0]) for (_, category), images in self._training.items())
        return tuple(image.names[image.categories.index(category)] for category, image in shown)

    @property
    def notes(self) -> list[str]:
        """Number of classes that are held out."""
        held_out = (
            counted(len(self._held_out), "class[|es] [is|are] held out for validation")
            if self._held_out
            else NO_VALIDATION
        )
        return [f"{counted(len(self._training), 'class[|es]')} to train on; {held_out}"]

    def batches(self, start: int) -> Iterator[EpisodeSamples]:
        """Yield the episodes from a step on."""
        yield from self._stream.stream(start, self._settings.total_steps, self._spec)

    def _spec(self, step: int) -> EpisodeSpec:
        stage, _ = self._settings.locate(step)
        return EpisodeSpec(stage.batch, stage.shots, stage.size)

    def validate(self, predictor: FewshotPredictor) -> tuple[Values, Pictures]:
        """Measure IoU on episodes of held-out classes, segmented as in use, and draw some of them."""
        if not self._held_out:
            return {}, []
        stage = self._settings.stages[-1]
        stream = EpisodeStream(self._held_out, self._settings.seed, self._device)
        by_class: dict[int, list[float]] = {}
        pictures: Pictures = []
        for index in range(VALIDATION_EPISODES):
            episode = stream.batch(VALIDATION_STEP + index, EpisodeSpec(1, stage.shots, stage.size, jitter=False))
            predicted, iou = segment_episode(predictor, episode)
            by_class.setdefault(int(episode.classes[0]), []).append(iou)
            if len(pictures) < REPORT_PICTURES:
                pictures.append((f"IoU {iou:.2f}", data_uri(_picture_of_episode(episode, predicted))))
        return {"validation_mIoU": round(float(np.mean([np.mean(v) for v in by_class.values()])), 4)}, pictures


def holdout_note(training: int, held_out: Sequence[AnnotatedImage]) -> str:
    """Say how many pictures are trained on and held out, and whether those can be scored."""
    if not held_out:
        return f"{counted(training, 'picture[|s]')} to train on; {NO_VALIDATION}"
    objects = sum(len(image.segmentations) for image in held_out)
    kept = f"{len(held_out)} for validation with {counted(objects, 'object[|s]')}"
    text = f"{counted(training, 'picture[|s]')} to train on, {kept}"
    return text if objects else f"{text}: nothing is measured"


def segment_clip(predictor: Any, clips: ClipSamples, clip: int) -> tuple[list[Tensor], list[float]]:  # noqa: ANN401
    """Segment one clip from its first masks; return label maps and J of each object and frame."""
    frames, labels = clips.frames[clip], clips.labels[clip]
    predictor.start(frames[0], labels[0])
    predicted, values = [labels[0]], []
    for t in range(1, frames.shape[0]):
        label_map = predictor.step(frames[t]).label_map
        predicted.append(label_map)
        for object_id in predictor.ids:
            a, b = label_map == object_id, labels[t] == object_id
            union = int((a | b).sum())
            if union:
                values.append(int((a & b).sum()) / union)
    return predicted, values


def _picture_of_clip(clips: ClipSamples, clip: int, predicted: Sequence[Tensor]) -> np.ndarray:
    """Frames of a clip side by side, true masks above and predicted masks below: (2S,T*S,3) uint8."""
    images = (clips.frames[clip].permute(0, 2, 3, 1) * 255).byte().cpu().numpy()
    rows = [clips.labels[clip].unbind(), predicted]
    return np.concatenate([
        np.concatenate([
            draw_overlay(i, m.cpu().numpy().astype(np.uint8)) for i, m in zip(images, row, strict=True)
        ], axis=1)
        for row in rows
    ])  # fmt: skip


def segment_episode(predictor: FewshotPredictor, episode: EpisodeSamples) -> tuple[Tensor, float]:
    """Segment the first image of a batch of one group from the others; return its mask (H,W) and IoU."""
    predictor.clear()
    predictor.fit(list(episode.images[0, 1:]), list(episode.masks[0, 1:]))
    predicted = predictor.predict(episode.images[0, :1])[0].label_map > 0
    truth = episode.masks[0, 0] == 1
    union = int((predicted | truth).sum())
    return predicted, int((predicted & truth).sum()) / union if union else 1.0


def _picture_of_episode(episode: EpisodeSamples, predicted: Tensor) -> np.ndarray:
    """The query and its supports, with true masks above and the predicted one below: (2S,M*S,3) uint8."""
    pictures = (episode.images[0].permute(0, 2, 3, 1) * 255).byte().cpu().numpy()
    true = list(episode.masks[0].unbind())
    rows = [true, [predicted, *true[1:]]]
    return np.concatenate([
        np.concatenate([
            draw_overlay(i, m.cpu().numpy().astype(np.uint8)) for i, m in zip(pictures, row, strict=True)
        ], axis=1)
        for row in rows
    ])  # fmt: skip
