"""From a checkpoint to a network in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.weights.checkpoints import Checkpoint, default_checkpoint, read_checkpoint
from vossegcli.models.devices import memory_errors, resolve_device, resolve_precision
from vossegcli.systems import SYSTEMS
from vossegcli.systems.base import System
from vossegcli.types import Task

DEFAULT_SIDE = 480  # short side at which a network works whose configuration says nothing of it


@dataclass(frozen=True)
class ChosenModel:
    """A checkpoint with its system and device, read but not yet built.

    Attributes:
        task: what it is asked for.
        checkpoint: weights and configuration.
        system: that they are for.
        device: to work on.
        precision: of the network.
    """

    task: Task
    checkpoint: Checkpoint
    system: System
    device: torch.device
    precision: torch.dtype

    @cached_property
    def network(self) -> nn.Module:
        """The network with its weights.

        Raises:
            CheckpointError: the weights do not fit.
        """
        return build_network(self.checkpoint, self.system)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the network behind: another process builds its own."""
        return {name: value for name, value in self.__dict__.items() if name != "network"}

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of the model for the run's record."""
        return {
            "checkpoint": {"name": self.checkpoint.name, "sha256": self.checkpoint.sha256},
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type,
            "precision": str(self.precision).removeprefix("torch."),
        }

    @property
    def settings(self) -> dict[str, str]:
        """Settings that change results, part of the fingerprint of every item; devices differ in rounding alone."""
        return {"checkpoint": self.checkpoint.sha256, "precision": str(self.precision)}

    @property
    def config(self) -> Any:  # noqa: ANN401 - of the system
        """The network's configuration."""
        return self.system.parse_config(self.checkpoint.header.config)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that it knows, if any."""
        return self.checkpoint.header.labels

    @property
    def short_side(self) -> int:
        """The size at which the checkpoint works by itself."""
        return int(getattr(self.config, "short_side", DEFAULT_SIDE))

    def draw_score(self, asked: float | None) -> float:
        """Score from which on instances are drawn and counted: what is asked for, else the checkpoint's own."""
        return float(self.config.draw_score) if asked is None else asked

    def predictor(self, **settings: Any) -> Any:  # noqa: ANN401 - of the task
        """Build the network and the system's predictor around it.

        Raises:
            CheckpointError: the weights do not fit.
            DeviceError: the device is out of memory.
        """
        with memory_errors(self.checkpoint.name):
            network = self.network.to(self.device)
            return self.system.predictors[self.task](network, precision=self.precision, **settings)


def choose_model(task: Task, checkpoint: str | None, device: str, precision: str) -> ChosenModel:
    """Read what the user asks for.

    Args:
        task: what the checkpoint must be for.
        checkpoint: name or file, or None for the task's default.
        device: as typed.
        precision: as typed.

    Raises:
        CheckpointError: the checkpoint cannot be read or is for another task.
        DeviceError: the device is absent.
    """
    found = resolve_device(device)
    read = read_checkpoint(checkpoint or default_checkpoint(task))
    return ChosenModel(task, read, system_of(read, task), found, resolve_precision(precision, found))


def check_score(score: float | None) -> None:
    """Refuse a threshold that no score has.

    Raises:
        ConfigError: it is out of range.
    """
    if score is not None and not 0.0 <= score <= 1.0:
        raise ConfigError(f"score-threshold is {score}", fix="give a number from 0 to 1")


def check_classes(wanted: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse names of classes that a checkpoint does not know.

    Raises:
        ConfigError: there is one.
    """
    unknown = sorted(set(wanted) - set(labels))
    if unknown:
        known = ", ".join(labels[:20]) + (" ..." if len(labels) > 20 else "")
        raise ConfigError(f"unknown class '{unknown[0]}'", where="--classes", fix=f"the checkpoint has {known}")


def system_of(checkpoint: Checkpoint, task: Task | None = None) -> System:
    """Look up the system that a checkpoint is for.

    Args:
        checkpoint: as read.
        task: what it must be able to do; None = anything.

    Raises:
        CheckpointError: this version lacks it, or it is for another task.
    """
    name = checkpoint.header.system
    if name not in SYSTEMS:
        what = f"is for the system '{name}', which this version lacks"
        raise CheckpointError(what, where=checkpoint.path, fix=f"it has {', '.join(SYSTEMS)}")
    if task is not None and task not in SYSTEMS[name].predictors:
        what = f"is for the system '{name}', which works for `{'`, `'.join(SYSTEMS[name].predictors)}`"
        raise CheckpointError(what, where=checkpoint.path, fix=f"give a checkpoint of a system for `{task}`")
    return SYSTEMS[name]


def build_network(checkpoint: Checkpoint, system: System) -> nn.Module:
    """Build the network that a checkpoint describes, with its weights, in eval mode and float32.

    Raises:
        CheckpointError: of another system, or its configuration or weights do not fit.
    """
    _check_system(checkpoint, system.name)
    try:
        network = system.build(system.parse_config(checkpoint.header.config))
    except (ConfigError, TypeError, ValueError) as error:  # a header may hold anything
        what = f"has a configuration that builds no network ({error})"
        raise CheckpointError(what, where=checkpoint.path, fix="train or import it again") from error
    _load_weights(network, checkpoint)
    return network.eval()


def _load_weights(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Load weights in place; every key must be there with its shape, and no other.

    Raises:
        CheckpointError: a key is missing, unknown or misshapen; it is named.
    """
    expected, fix = network.state_dict(), "give a checkpoint of this configuration"
    for name, value in checkpoint.tensors.items():
        if name not in expected:
            raise CheckpointError(f"unknown key '{name}'", where=checkpoint.path, fix=fix)
        if value.shape != expected[name].shape:
            what = f"'{name}' has shape {tuple(value.shape)}, not {tuple(expected[name].shape)}"
            raise CheckpointError(what, where=checkpoint.path, fix=fix)
    for name in expected:
        if name not in checkpoint.tensors:
            raise CheckpointError(f"missing key '{name}'", where=checkpoint.path, fix="give a complete checkpoint")
    network.load_state_dict(checkpoint.tensors)


def start_from(network: nn.Module, checkpoint: Checkpoint, system: System, labels: Sequence[str]) -> None:
    """Give a network the weights that its training starts from, in place.

    That is a whole checkpoint of the same system, except for its classes where they are others, or the backbone of one
    of another system that fits.

    Args:
        network: with fresh weights.
        checkpoint: to start from.
        system: of the network.
        labels: classes of the network.

    Raises:
        CheckpointError: the checkpoint does not fit.
    """
    name = checkpoint.header.system
    if name != system.name and name in system.starts:
        system.starts[name](network, checkpoint.tensors)
        return
    _check_system(checkpoint, system.name)
    if tuple(labels) != tuple(checkpoint.header.labels):
        fresh = {key: value for key, value in network.state_dict().items() if key.startswith(system.class_layers)}
        checkpoint = replace(checkpoint, tensors={**checkpoint.tensors, **fresh})
    _load_weights(network, checkpoint)


def _check_system(checkpoint: Checkpoint, system: str) -> None:
    found = system_of(checkpoint).name
    if found != system:
        what = f"is for the system '{found}', not '{system}'"
        raise CheckpointError(what, where=checkpoint.path, fix=f"give a checkpoint of '{system}'")
