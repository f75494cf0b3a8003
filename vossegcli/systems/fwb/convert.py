"""Weights of others for FWB: backbones from torchvision and from AFB-URR. The authors published no trained network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.systems.base import Imported
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.model import FWB

#: Where torchvision's ResNet keeps a part -> where our backbone has it.
_RESNET = {"conv1.": "0.0.", "bn1.": "0.1.", "layer1.": "1.", "layer2.": "2.", "layer3.": "3.", "layer4.": "4."}
_VGG = {"features.": ""}
#: Where AFB-URR's compact query encoder keeps a part -> where our compact backbone has it.
_AFB_URR = {
    "encoder_q.conv1.": "stem.0.", "encoder_q.bn1.": "stem.1.",
    "encoder_q.res2.": "stages.0.", "encoder_q.res3.": "stages.1.", "encoder_q.res4.": "stages.2.",
}  # fmt: skip
_OWN_PARTS = ("stages.3.", "merge.", "norm.")  # which AFB-URR has not


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
    found = _renamed(weights, _VGG if model.config.backbone == "vgg16" else _RESNET)
    _load(model, found, f"give weights of {model.config.backbone}")


def load_afb_urr(model: FWB, weights: Mapping[str, Tensor]) -> None:
    """Start the compact backbone's stem and first three stages from an AFB-URR checkpoint's, in place.

    Raises:
        CheckpointError: a weight is missing or misshapen.
    """
    own = {name: value for name, value in model.backbone.state_dict().items() if name.startswith(_OWN_PARTS)}
    _load(model, _renamed(weights, _AFB_URR) | own, "give a checkpoint of AFB-URR's compact configuration")


def _renamed(weights: Mapping[str, Tensor], places: Mapping[str, str]) -> dict[str, Tensor]:
    return {
        ours + name.removeprefix(theirs): value
        for name, value in weights.items()
        for theirs, ours in places.items()
        if name.startswith(theirs)
    }


def _load(model: FWB, found: Mapping[str, Tensor], fix: str) -> None:
    own = model.backbone.state_dict()
    for name, value in own.items():
        if name not in found:
            raise CheckpointError(f"missing key '{name}'", fix=fix)
        if found[name].shape != value.shape:
            raise CheckpointError(f"'{name}' has shape {tuple(found[name].shape)}, not {tuple(value.shape)}", fix=fix)
    model.backbone.load_state_dict({name: found[name] for name in own})
