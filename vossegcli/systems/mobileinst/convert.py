"""Weights of others for MobileInst: ImageNet backbones. The authors published no trained network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.systems.base import Imported, load_efficientnet
from vossegcli.systems.mobileinst.backbone import EfficientNetTokens
from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.model import MobileInst


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
    """Name of the backbone whose ImageNet weights fit.

    Raises:
        ConfigError: there is none; nobody publishes weights of the token pyramid under a free licence.
    """
    if config.backbone == "token_pyramid":
        raise ConfigError(
            "no ImageNet weights fit the token pyramid",
            fix="use --init none or a checkpoint, or the configuration 'compact'",
        )
    return config.backbone


def load_imagenet(model: MobileInst, weights: Mapping[str, Tensor]) -> None:
    """Start the backbone from a published EfficientNet-Lite, in place.

    Raises:
        CheckpointError: a weight is missing.
        ConfigError: the network has another backbone.
    """
    if not isinstance(model.backbone, EfficientNetTokens):
        raise ConfigError("no ImageNet weights fit the token pyramid", fix="use the configuration 'compact'")
    load_efficientnet(model.backbone.trunk, weights)
