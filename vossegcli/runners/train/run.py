"""`vosseg train`: annotated images to samples to a checkpoint, with a log, a report and resume."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.datasets.annotations import read_class_folders, read_coco_instances
from vossegcli.io.records.atomic import make_folder, write_text_atomic
from vossegcli.io.records.configs import read_toml
from vossegcli.io.records.run_records import append_jsonl, read_jsonl
from vossegcli.io.weights.checkpoints import (
    CheckpointHeader,
    read_checkpoint,
    read_header,
    read_tensors,
    write_checkpoint,
    write_tensors,
)
from vossegcli.io.weights.pretrained import read_imagenet
from vossegcli.models.chosen_model import start_from
from vossegcli.models.devices import resolve_device, resolve_precision
from vossegcli.reports.training import training_report
from vossegcli.runners.train.instances import TrainingInstances, TrainingTracks
from vossegcli.runners.train.samples import TrainingClips, TrainingEpisodes, TrainingSamples
from vossegcli.systems import get_system
from vossegcli.systems.base import System
from vossegcli.training.loop import Trainer, run_training
from vossegcli.training.settings import Stage, TrainingSettings
from vossegcli.types import AnnotatedImage

#: Task of a system -> what it is trained on.
SAMPLES: Mapping[str, Callable[..., TrainingSamples]] = {
    "propagate": TrainingClips,
    "fewshot": TrainingEpisodes,
    "instance": TrainingInstances,
    "track": TrainingTracks,
}
BEST = "best.safetensors"


@dataclass(frozen=True)
class TrainOptions:
    """What the command line gives.

    Attributes:
        system: name of the system.
        data: COCO instances files, folders of them, or folders of classes.
        val: likewise, to validate on; empty = a part of the data is held out.
        config: TOML settings.
        output: folder for checkpoint, state, log and report.
        init: checkpoint name or file to start from, `imagenet` or `none`.
        resume: continue from the state in `output`.
        device: as typed.
        precision: as typed.
    """

    system: str
    data: tuple[Path, ...]
    config: Path
    output: Path
    val: tuple[Path, ...] = ()
    init: str = "none"
    resume: bool = False
    device: str = "auto"
    precision: str = "auto"


def train(options: TrainOptions, on_progress: Callable[[int, int, Mapping[str, float]], None]) -> dict[str, Any]:
    """Train a system and return the summary that is also stored in the checkpoint's header.

    Args:
        options: what to train on what.
        on_progress: told (step, total steps, values) after every step.

    Raises:
        VossegError: bad data, settings, checkpoint or device.
    """
    system = get_system(options.system)
    settings = TrainingSettings.from_dict(read_toml(options.config))
    if settings.config not in system.configs:
        known = ", ".join(system.configs)
        raise ConfigError(f"unknown configuration '{settings.config}'", where=options.config, fix=f"use one of {known}")
    for stage in settings.stages:
        if stage.objective not in system.objectives:
            known = ", ".join(system.objectives)
            raise ConfigError(f"unknown objective '{stage.objective}'", where=options.config, fix=f"use one of {known}")
        _check_stage(stage, system, options.config)
    make_folder(options.output)
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    samples = SAMPLES[system.task](read_images(options.data), read_images(options.val), settings, device)
    config = system.parse_config({**system.configs[settings.config].to_dict(), **settings.model})
    if samples.labels:
        config = config.with_labels(samples.labels)
    torch.manual_seed(settings.seed)
    model = system.build(config).to(device).to(memory_format=torch.channels_last)
    if options.init == "imagenet":
        backbone = system.imagenet_backbone(config)
        system.starts["imagenet"](model, read_imagenet(backbone))
    elif options.init != "none":
        start_from(model, read_checkpoint(options.init), system, samples.labels)
    trainer = Trainer(model, settings, system.backbone)
    observer = _Observer(options, settings, system, config, samples, precision, on_progress)
    if options.resume:
        observer.resume(trainer)
    elif (options.output / "state.safetensors").exists():
        raise ConfigError("holds a training run", where=options.output, fix="add --resume or give another folder")
    run_training(trainer, system.objectives, samples.batches(trainer.step), observer, precision=precision)
    return observer.finish(trainer)


def read_images(paths: Sequence[Path]) -> list[AnnotatedImage]:
    """Read COCO instances files; a folder stands for its `*.json`, except `val.json`, or holds folders of classes."""
    images: list[AnnotatedImage] = []
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if files:
            for file in files:
                images += [] if path.is_dir() and file.name == "val.json" else read_coco_instances(file)
        else:
            images += read_class_folders(path)
    return images


def _check_stage(stage: Stage, system: System, where: Path) -> None:
    """Refuse samples that an objective or a network cannot take."""
    wanted = system.frames.get(stage.objective, stage.frames)
    if stage.frames != wanted:
        kind = "images" if wanted == 1 else f"clips of {wanted} frames"
        what = f"stage '{stage.name}': '{stage.objective}' takes {kind}"
        raise ConfigError(what, where=where, fix=f"set frames = {wanted}")
    if stage.size % system.multiple:
        raise ConfigError(
            f"stage '{stage.name}': size is {stage.size}", where=where, fix=f"give a multiple of {system.multiple}"
        )


class _Observer:
    """Writes the log, the state, the checkpoint and the report."""

    def __init__(
        self,
        options: TrainOptions,
        settings: TrainingSettings,
        system: System,
        config: Any,  # noqa: ANN401 - the system's own record
        samples: TrainingSamples,
        precision: torch.dtype,
        on_progress: Callable[[int, int, Mapping[str, float]], None],
    ) -> None:
        self.options = options
        self.settings = settings
        self.system = system
        self.config = config
        self.samples = samples
        self.precision = precision
        self.on_progress = on_progress
        self.rows: list[dict[str, Any]] = []
        self.began = time.time()
        self.log_path = options.output / "train.jsonl"
        self.state_path = options.output / "state.safetensors"

    def resume(self, trainer: Trainer) -> None:
        """Load the state and cut the log back to it."""
        tensors, metadata = read_tensors(self.state_path)
        if metadata.get("settings") != self._fingerprint():
            raise CheckpointError(
                "was made with other settings",
                where=self.state_path,
                fix="use the same TOML file or another folder",
            )
        trainer.load_state(tensors, int(metadata["step"]))
        self.rows = [row for row in read_jsonl(self.log_path) if row["step"] <= trainer.step]
        write_text_atomic(self.log_path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def on_step(self, step: int, stage: Stage, values: Mapping[str, float]) -> None:
        """Append to the log."""
        row = {"step": step, "stage": stage.name, **{k: round(v, 6) for k, v in values.items()}}
        self.rows.append(row)
        append_jsonl(self.log_path, row)
        self.on_progress(step, self.settings.total_steps, values)

    def on_state(self, step: int, trainer: Trainer) -> None:
        """Save the state for resuming and the averaged weights as a checkpoint."""
        write_tensors(self.state_path, trainer.state(), {"step": str(step), "settings": self._fingerprint()})
        every = self.settings.validate_every
        values: Mapping[str, float] = {}
        if every and step < self.settings.total_steps and step % every < self.settings.checkpoint_every:
            values, _ = self._validate(trainer, step)
        self._write_checkpoint(trainer, step, values)

    def finish(self, trainer: Trainer) -> dict[str, Any]:
        """Validate, write the final checkpoint, which holds the best weights that were measured, and the report."""
        values, pictures = self._validate(trainer, trainer.step)
        facts = self._write_checkpoint(trainer, trainer.step, values)
        best = self.options.output / BEST
        if self._best() > _score(values):
            checkpoint = read_checkpoint(str(best))
            write_checkpoint(self.options.output / "model.safetensors", checkpoint.tensors, checkpoint.header)
            facts = checkpoint.header.training
        best.unlink(missing_ok=True)
        html = training_report({**facts, "minutes": round((time.time() - self.began) / 60, 1)}, self.rows, pictures)
        write_text_atomic(self.options.output / "report.html", html)
        return facts

    def _validate(self, trainer: Trainer, step: int) -> tuple[dict[str, float], list[tuple[str, str]]]:
        """Measure the averaged weights; what comes out joins the log, and the best weights are put aside."""
        predictor = self.system.predictors[self.samples.judge](trainer.average, precision=self.precision)
        values, pictures = self.samples.validate(predictor)
        if values and step < self.settings.total_steps:
            if _score(values) >= self._best():
                self._write_checkpoint(trainer, step, values, BEST)
            append_jsonl(self.options.output / "validation.jsonl", {"step": step, **values})
        return values, pictures

    def _best(self) -> float:
        """The score of the weights that were put aside; below every other where there are none."""
        path = self.options.output / BEST
        return _score(read_header(path).training) if path.exists() else float("-inf")

    def _write_checkpoint(
        self, trainer: Trainer, step: int, values: Mapping[str, float], name: str = "model.safetensors"
    ) -> dict[str, Any]:
        facts = {
            "data": [p.name if p.suffix else f"{p.parent.name}/{p.name}" for p in self.options.data],
            **self.samples.facts,
            "steps": step,
            "seed": self.settings.seed,
            "date": datetime.now(tz=UTC).date().isoformat(),
            "init": Path(self.options.init).stem,
            **values,
        }
        weights = {name: _half(value) for name, value in trainer.average.state_dict().items()}
        header = CheckpointHeader(self.system.name, self.config.to_dict(), self.samples.labels, facts)
        write_checkpoint(self.options.output / name, weights, header)
        return facts

    def _fingerprint(self) -> str:
        return json.dumps(asdict(self.settings), sort_keys=True)


def _score(values: Mapping[str, Any]) -> float:
    """The first of the measured values, which is the one that counts."""
    return float(next((value for name, value in values.items() if name.startswith("validation_")), float("-inf")))


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value
