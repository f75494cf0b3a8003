"""Weights of others for FWB: ImageNet backbones. The authors published no trained network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from vossegcli.errors import CheckpointError
from vossegcli.layers.efficientnet_lite import imagenet_names
from vossegcli.named_parts import renamed_parts
from vossegcli.systems.base import Imported
from vossegcli.systems.fwb.backbones import EfficientNetBackbone
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.model import FWB

#: Where torchvision's ResNet keeps a part -> where our backbone has it.
_RESNET = {"conv1.": "0.0.", "bn1.": "0.1.", "layer1.": "1.", "layer2.": "2.", "layer3.": "3.", "layer4.": "4."}
_VGG = {"features.": ""}


def convert_published(weights: Mapping[str, object]) -> Imported:
    """Refuse: there are no published weights whose names could be mapped.

    Raises:
        CheckpointError: always.
    """
    raise CheckpointError(
        f"holds {len(weights)} entries, but no weights of FWB were ever published",
        fix="train a checkpoint with `vosseg train fwb`",
    )


def imagenet_backbone(config: FWBConfig) -> str:
    """Name of the backbone whose ImageNet weights fit."""
    return config.backbone


def load_imagenet(model: FWB, weights: Mapping[str, Tensor]) -> None:
    """Start the backbone from ImageNet weights, in place.

    Raises:
        CheckpointError: a weight is missing or misshapen.
    """
    if isinstance(model.backbone, EfficientNetBackbone):
        trunk = model.backbone.trunk
        found = {ours: weights[theirs] for ours, theirs in imagenet_names(trunk).items() if theirs in weights}
        _load(trunk, found, f"give weights of {model.config.backbone}")
        return
    found = renamed_parts(weights, _VGG if model.config.backbone == "vgg16" else _RESNET)
    _load(model.backbone.trunk, found, f"give weights of {model.config.backbone}")


def _load(network: nn.Module, found: Mapping[str, Tensor], fix: str) -> None:
    own = network.state_dict()
    for name, value in own.items():
        if name not in found:
            raise CheckpointError(f"missing key '{name}'", fix=fix)
        if found[name].shape != value.shape:
            raise CheckpointError(f"'{name}' has shape {tuple(found[name].shape)}, not {tuple(value.shape)}", fix=fix)
    network.load_state_dict({name: found[name] for name in own})
