"""Weights of others for MobileInst: none were ever published."""

from __future__ import annotations

from collections.abc import Mapping

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.systems.base import Imported
from vossegcli.systems.mobileinst.config import MobileInstConfig


def convert_published(weights: Mapping[str, object]) -> Imported:
    """Refuse: there are no published weights whose names could be mapped.

    Raises:
        CheckpointError: always.
    """
    raise CheckpointError(
        f"holds {len(weights)} entries, but no weights of MobileInst were ever published",
        fix="train a checkpoint with `vosseg train mobileinst`",
    )


def imagenet_backbone(config: MobileInstConfig) -> str:
    """Refuse: torchvision has neither TopFormer nor SeaFormer.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        f"torchvision has no weights for a backbone with {config.attention} attention",
        fix="use --init none or a checkpoint",
    )
