"""From a checkpoint to a network in memory."""

from __future__ import annotations

from torch import nn

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.checkpoints import Checkpoint
from vossegcli.systems import SYSTEMS
from vossegcli.systems.base import System


def system_of(checkpoint: Checkpoint, task: str | None = None) -> System:
    """Look up the system that a checkpoint is for.

    Args:
        checkpoint: as read.
        task: what it must be able to do; None = anything.

    Raises:
        CheckpointError: this version lacks it, or it is for another task.
    """
    name = checkpoint.header.system
    if name not in SYSTEMS:
        known = ", ".join(SYSTEMS)
        raise CheckpointError(
            f"is for the system '{name}', which this version lacks",
            where=checkpoint.path,
            fix=f"it has {known}",
        )
    if task not in (None, SYSTEMS[name].task):
        raise CheckpointError(
            f"is for the system '{name}', which works for `{SYSTEMS[name].task}`",
            where=checkpoint.path,
            fix=f"give a checkpoint of a system for `{task}`",
        )
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
        raise CheckpointError(
            f"has a configuration that builds no network ({error})",
            where=checkpoint.path,
            fix="train or import it again",
        ) from error
    load_weights(network, checkpoint, system.name)
    return network.eval()


def load_weights(network: nn.Module, checkpoint: Checkpoint, system: str) -> None:
    """Load weights in place; every key must be there with its shape, and no other.

    Raises:
        CheckpointError: of another system, or a key is missing, unknown or misshapen; it is named.
    """
    _check_system(checkpoint, system)
    expected = network.state_dict()
    for name, value in checkpoint.tensors.items():
        if name not in expected:
            raise CheckpointError(
                f"unknown key '{name}'", where=checkpoint.path, fix="give a checkpoint of this configuration"
            )
        if value.shape != expected[name].shape:
            raise CheckpointError(
                f"'{name}' has shape {tuple(value.shape)}, not {tuple(expected[name].shape)}",
                where=checkpoint.path,
                fix="give a checkpoint of this configuration",
            )
    for name in expected:
        if name not in checkpoint.tensors:
            raise CheckpointError(f"missing key '{name}'", where=checkpoint.path, fix="give a complete checkpoint")
    network.load_state_dict(checkpoint.tensors)


def _check_system(checkpoint: Checkpoint, system: str) -> None:
    found = system_of(checkpoint).name
    if found != system:
        raise CheckpointError(
            f"is for the system '{found}', not '{system}'",
            where=checkpoint.path,
            fix=f"give a checkpoint of '{system}'",
        )
