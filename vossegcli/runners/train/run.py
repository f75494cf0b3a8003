"""`vosseg train`: annotated images to samples to a checkpoint, with a log, a report and resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from vossegcli.data.fitting import fit_to_pictures
from vossegcli.errors import ConfigError
from vossegcli.io.records.atomic import make_folder
from vossegcli.io.records.configs import read_toml
from vossegcli.io.records.locks import output_lock
from vossegcli.io.records.output_folders import TRAINING_STATE, check_owner, clean_output
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.io.weights.pretrained import read_imagenet
from vossegcli.models.chosen_model import start_from
from vossegcli.models.devices import resolve_device, resolve_precision
from vossegcli.runners.train.contact_sheet import write_contact_sheet
from vossegcli.runners.train.instances import TrainingInstances, TrainingTracks
from vossegcli.runners.train.options import TrainOptions
from vossegcli.runners.train.reading import read_images
from vossegcli.runners.train.recorder import OnProgress, Recorder, TrainingRun
from vossegcli.runners.train.samples import TrainingClips, TrainingEpisodes, TrainingSamples
from vossegcli.systems import get_system
from vossegcli.systems.base import System
from vossegcli.training.loop import Trainer, run_training
from vossegcli.training.settings import Stage, TrainingSettings
from vossegcli.types import AnnotatedImage
from vossegcli.wording import counted

#: Task of a system -> what it is trained on.
SAMPLES: Mapping[str, Callable[..., TrainingSamples]] = {
    "propagate": TrainingClips,
    "fewshot": TrainingEpisodes,
    "instance": TrainingInstances,
    "track": TrainingTracks,
}
Facts = dict[str, Any]


def train(options: TrainOptions, on_progress: OnProgress, on_note: Callable[[str], None] = lambda _: None) -> Facts:
    """Train a system and return the summary that is also stored in the checkpoint's header.

    Before the first step every picture is compared with its annotation, and a contact sheet of samples is written.

    Args:
        options: what to train on what.
        on_progress: told (step, total steps, values) after every step.
        on_note: told what was interpreted in the data, and where the contact sheet is.

    Raises:
        VossegError: bad data, settings, checkpoint or device.
    """
    system = get_system(options.system)
    settings = read_settings(options.config, system)
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    _check_output(options)
    run = TrainingRun(options, system, settings, device, precision)
    with nullcontext() if options.dry_run else output_lock(options.output, None):
        clean_output(options.output)
        return _train(run, on_progress, on_note)


def _train(run: TrainingRun, on_progress: OnProgress, on_note: Callable[[str], None]) -> Facts:
    options, system, settings = run.options, run.system, run.settings
    (images, notes), (validation, more) = (_read_fitted(options, part) for part in ("train", "val"))
    notes = [*notes, *more, *_repeated(images), *_shared(images, validation)]
    notes += _strange_classes(images, validation) if system.task != "propagate" else []
    for note in notes:
        on_note(note)
    samples = SAMPLES[system.task](images, validation, settings, run.device)
    for note in samples.notes:
        on_note(note)
    config = system.parse_config({**system.configs[settings.config].to_dict(), **settings.model})
    if samples.labels:
        config = config.with_labels(samples.labels)
    torch.manual_seed(settings.seed)
    model = system.build(config).to(run.device).to(memory_format=torch.channels_last)
    _start(model, system, config, options.init, samples.labels)
    resumed = options.resume and (options.output / TRAINING_STATE).exists()
    if options.dry_run or not resumed:
        sheet = write_contact_sheet(options.output, samples.batches(0), samples.names)
        on_note(f"look at {sheet}: samples as training sees them")
    if options.dry_run:
        return {**samples.facts, "notes": [*notes, *samples.notes]}
    trainer = Trainer(model, settings, system.backbone)
    data = data_fingerprint([*images, *validation])
    recorder = Recorder(run, config, samples, on_progress, data)
    if resumed:
        recorder.resume(trainer)
    elif options.resume:
        on_note(f"nothing to resume in {options.output}: training begins")
    run_training(trainer, system.objectives, samples.batches(trainer.step), recorder, precision=run.precision)
    return recorder.finish(trainer)


def read_settings(path: Path, system: System) -> TrainingSettings:
    """Read the TOML settings and check that a system can follow them.

    Raises:
        ConfigError: it cannot.
    """
    settings = TrainingSettings.from_dict(read_toml(path))
    if settings.config not in system.configs:
        known = ", ".join(system.configs)
        raise ConfigError(f"unknown configuration '{settings.config}'", where=path, fix=f"use one of {known}")
    for stage in settings.stages:
        if stage.objective not in system.objectives:
            known = ", ".join(system.objectives)
            raise ConfigError(f"unknown objective '{stage.objective}'", where=path, fix=f"use one of {known}")
        _check_stage(stage, system, path)
    return settings


def data_fingerprint(images: Sequence[AnnotatedImage]) -> str:
    """Hash what a training run learns from: names, sizes, classes and masks of its images."""
    digest = hashlib.sha256()
    for image in images:
        counts = [rle["counts"] for rle in image.segmentations]
        size = image.path.stat().st_size if image.path.is_file() else 0
        row = (image.dataset, image.path.name, size, image.height, image.width, image.names, counts)
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _start(model: Any, system: System, config: Any, init: str, labels: tuple[str, ...]) -> None:  # noqa: ANN401
    """Load the weights that training starts from, in place."""
    if init == "imagenet":
        backbone = system.imagenet_backbone(config)
        system.starts["imagenet"](model, read_imagenet(backbone))
    elif init != "none":
        start_from(model, read_checkpoint(init), system, labels)


def _check_output(options: TrainOptions) -> None:
    """Refuse an output where nothing can be written or another run lies.

    Raises:
        InputError: it is a file or cannot be made.
        ConfigError: it holds a training run, and this one does not resume it.
    """
    make_folder(options.output)
    check_owner(options.output, "train")
    if not (options.resume or options.dry_run) and (options.output / TRAINING_STATE).exists():
        raise ConfigError("holds a training run", where=options.output, fix="add --resume or give another folder")


def _repeated(images: Sequence[AnnotatedImage]) -> list[str]:
    """Tell how many pictures are annotated by several entries that share a class, or one of which has none."""
    entries: dict[Path, list[set[str]]] = {}
    for image in images:
        entries.setdefault(image.path, []).append(set(image.names))
    count = sum(_overlap(classes) for classes in entries.values())
    what = "picture[|s] [is|are] listed more than once: what only one entry marks is background in the other"
    return [counted(count, what)] if count else []


def _overlap(classes: Sequence[set[str]]) -> bool:
    return len(classes) > 1 and (not all(classes) or len(set().union(*classes)) < sum(map(len, classes)))


def _read_fitted(options: TrainOptions, part: str) -> tuple[list[AnnotatedImage], list[str]]:
    """The images of `--data` or `--val`, each annotation fitted to its picture, and notes."""
    paths = options.data if part == "train" else options.val
    found = read_images(paths, get_system(options.system).task, part, options.images)
    images, notes = fit_to_pictures(found.images)
    return images, [*found.notes, *notes]


def _strange_classes(images: Sequence[AnnotatedImage], validation: Sequence[AnnotatedImage]) -> list[str]:
    """Tell which classes of the validation data are in no training image."""
    known = {name for image in images for name in image.names}
    strange = dict.fromkeys(name for image in validation for name in image.names if name not in known)
    return [f"--val has classes that --data lacks: {', '.join(list(strange)[:8])}"] if strange else []


def _shared(images: Sequence[AnnotatedImage], validation: Sequence[AnnotatedImage]) -> list[str]:
    """Tell how many pictures of the validation data are trained on."""
    known = {image.path.resolve() for image in images}
    count = len({image.path.resolve() for image in validation} & known)
    what = "picture[|s] of --val [is|are] also in --data: what is measured on [it|them] is too good"
    return [counted(count, what)] if count else []


def _check_stage(stage: Stage, system: System, where: Path) -> None:
    """Refuse samples that an objective or a network cannot take."""
    wanted = system.frames.get(stage.objective, stage.frames)
    if stage.frames != wanted:
        kind = "images" if wanted == 1 else f"clips of {wanted} frames"
        what = f"stage '{stage.name}': '{stage.objective}' takes {kind}"
        raise ConfigError(what, where=where, fix=f"set frames = {wanted}")
    values = stage.batch * (stage.size // system.multiple) ** 2
    if values == 1 and not stage.freeze_norm:
        what = f"stage '{stage.name}': batch 1 at size {stage.size} leaves batch norms one value a channel"
        raise ConfigError(what, where=where, fix="give a larger batch or size, or set freeze_norm = true")
    if stage.size % system.multiple:
        raise ConfigError(
            f"stage '{stage.name}': size is {stage.size}", where=where, fix=f"give a multiple of {system.multiple}"
        )
