"""Weights of others for FWB: ImageNet backbones from torchvision. The authors published no trained network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.model import FWB

#: Where torchvision's ResNet keeps a part -> where our backbone has it.
_RESNET = {"conv1.": "0.0.", "bn1.": "0.1.", "layer1.": "1.", "layer2.": "2.", "layer3.": "3.", "layer4.": "4."}
_VGG = {"features.": ""}


def convert_published(weights: Mapping[str, object]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Refuse: there are no published weights whose names could be mapped.

    Raises:
        CheckpointError: always.
    """
    raise CheckpointError(
        f"holds {len(weights)} entries, but no weights of FWB were ever published",
        fix="train a checkpoint with `vosseg train fwb`",
    )


def imagenet_backbone(config: FWBConfig) -> str:
    """Name of the torchvision backbone whose ImageNet weights fit.

    Raises:
        ConfigError: there is none.
    """
    if config.backbone == "compact":
        raise ConfigError("no ImageNet weights fit this configuration", fix="use --init none or a checkpoint")
    return config.backbone


def load_imagenet(model: FWB, weights: Mapping[str, Tensor]) -> None:
    """Start the backbone from torchvision's, in place.

    Raises:
        CheckpointError: a weight is missing.
    """
    places = _VGG if model.config.backbone == "vgg16" else _RESNET
    found = {
        ours + name.removeprefix(theirs): value
        for name, value in weights.items()
        for theirs, ours in places.items()
        if name.startswith(theirs)
    }
    own = model.backbone.state_dict()
    missing = sorted(set(own) - set(found))
    if missing:
        raise CheckpointError(f"missing key '{missing[0]}'", fix=f"give weights of {model.config.backbone}")
    model.backbone.load_state_dict({name: found[name] for name in own})
