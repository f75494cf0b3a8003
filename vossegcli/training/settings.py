"""Settings of a training run: a seed and stages that follow each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from vossegcli.errors import ConfigError
from vossegcli.setting_types import settle_types


@dataclass(frozen=True)
class Stage:
    """One stage of training: an objective on clips of one size, with a learning-rate cycle of its own.

    Attributes:
        name: shown in the log.
        objective: one of the system's objectives.
        steps: optimiser steps.
        batch: clips a step.
        size: side of the square clips in pixels, a multiple of 16.
        frames: frames a clip (video); 1 = images, where a system learns from both.
        objects: most objects a clip; each step draws 1 to that many (video).
        shots: supports an episode (few-shot).
        short_side: what the short side of an image is brought to before it is cropped, at random scale (instances).
        recolour: share of the images whose colours are exchanged, as for microscopy of other stains (instances).
        learning_rate: peak, after `warmup` steps; then a cosine down to a hundredth.
        backbone_rate: factor of the learning rate for the weights of the backbone; 0 = they stay as they are.
        warmup: steps of linear increase.
        weight_decay: AdamW's.
        freeze_norm: keep batch-norm statistics fixed: those of the backbone, in systems that name theirs, else all.
        frozen: how the names of weights begin that stay as they are, e.g. the first layers of a pre-trained backbone.
    """

    name: str
    objective: str
    steps: int
    batch: int
    size: int
    frames: int = 3
    objects: int = 2
    shots: int = 1
    short_side: int = 512
    recolour: float = 0.0
    learning_rate: float = 5e-4
    backbone_rate: float = 1.0
    warmup: int = 50
    weight_decay: float = 0.02
    freeze_norm: bool = False
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            ConfigError: a value is of another type or out of range.
        """
        settle_types(self, f"stage '{self.name}'")
        for name in ("steps", "batch", "size", "frames", "objects", "shots", "short_side", "warmup"):
            if getattr(self, name) < 1:
                raise ConfigError(f"stage '{self.name}': {name} is {getattr(self, name)}", fix="give 1 or more")
        for name in ("learning_rate", "backbone_rate", "weight_decay"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise ConfigError(f"stage '{self.name}': {name} is {value}", fix="give 0 or more")
        if self.size % 16:
            raise ConfigError(f"stage '{self.name}': size is {self.size}", fix="give a multiple of 16")


@dataclass(frozen=True)
class TrainingSettings:
    """A whole run.

    Attributes:
        config: name of the system's configuration to train.
        model: fields of it that are changed.
        stages: in order.
        seed: of weights, samples and their order.
        pseudo_objects: share of cut-outs that are unsupervised regions (video).
        real_clips: share of the clips that are taken from annotated videos, where the data has some (video).
        ema: decay of the moving average of the weights, which is what gets saved.
        clip_norm: largest norm of the gradient.
        checkpoint_every: steps between saved states.
        validate_every: steps between validations, of which the best weights are kept; 0 = once, at the end.
        class_agnostic: all classes are one, `object`, as for a warm-up on many sets (instances).
        partly_annotated: data sets (named as in the notes: annotation file or folder) whose pictures also hold objects
            without an annotation; their background counts only inside the boxes of what is annotated (`b2inst`).
        turns: also turn images by quarters and upside down, for pictures without an up (instances).
        holdout: share of the image sources (video) or classes (few-shot) that are kept for validation.
    """

    config: str
    stages: tuple[Stage, ...]
    model: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    pseudo_objects: float = 0.45
    real_clips: float = 0.5
    ema: float = 0.998
    clip_norm: float = 5.0
    checkpoint_every: int = 200
    validate_every: int = 0
    class_agnostic: bool = False
    partly_annotated: tuple[str, ...] = ()
    turns: bool = False
    holdout: float = 0.05

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            ConfigError: a value is of another type, or a share is out of range.
        """
        settle_types(self, "training settings")
        for name in ("pseudo_objects", "real_clips", "ema", "holdout"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}", fix="give a share from 0 to 1")

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def locate(self, step: int) -> tuple[Stage, int]:
        """Return the stage of a global step and the step within it."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        raise IndexError(step)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingSettings:
        """Build settings from a TOML file's values.

        Raises:
            ConfigError: a field is unknown or missing, or a value has the wrong type.
        """
        stages = values.get("stages")
        if not isinstance(stages, list) or not stages:
            raise ConfigError("no [[stages]]", fix="give at least one stage")
        parsed = tuple(_build(Stage, stage, f"[[stages]] {i + 1}") for i, stage in enumerate(stages))
        settings: TrainingSettings = _build(cls, {**values, "stages": parsed}, "training settings")
        return settings


def _build(cls: type[Any], values: dict[str, Any], where: str) -> Any:  # noqa: ANN401 - a record of type cls
    known = {one.name: one for one in fields(cls)}
    unknown = sorted(set(values) - known.keys())
    if unknown:
        raise ConfigError(f"unknown setting '{unknown[0]}'", where=where, fix=f"use one of {', '.join(sorted(known))}")
    for name, one in known.items():
        if name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise ConfigError(f"has no setting '{name}'", where=where, fix="add it")
    return cls(**values)
