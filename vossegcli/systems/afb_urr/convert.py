"""Weights of the public AFB-URR checkpoints to ours: the names agree, so every key maps to itself or is refused."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.named_parts import renamed_parts
from vossegcli.systems.afb_urr.config import PUBLISHED, RESNET50, AFBURRConfig, LiteTrunk
from vossegcli.systems.afb_urr.lite_encoders import LiteMemoryEncoder, LiteQueryEncoder
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.base import Imported, load_efficientnet

#: What surrounds the weights in the published file, and why it is left behind.
DROPPED = {
    "epoch": "training state",
    "optimizer": "training state",
    "loss": "training state",
    "seed": "training state",
}


def convert_published(payload: Mapping[str, object]) -> Imported:
    """Take the weights out of a published checkpoint.

    Args:
        payload: the file's dict `{epoch, model, optimizer, loss, seed}`.

    Returns:
        All weights, float32, and the dropped entries with reasons.

    Raises:
        CheckpointError: an entry or a key is missing, unknown or has another shape; its name is given.
    """
    weights = payload.get("model")
    if not isinstance(weights, Mapping):
        raise CheckpointError(
            "has no entry 'model'", fix="give a published AFB-URR file (epoch, model, optimizer, ...)"
        )
    for entry in payload:
        if entry != "model" and entry not in DROPPED:
            raise CheckpointError(f"has an unknown entry '{entry}'", fix="give a published AFB-URR file")
    expected = AFBURR(PUBLISHED).state_dict()
    for name in weights:
        if name not in expected:
            raise CheckpointError(f"unknown key '{name}'", fix="give a published AFB-URR file")
    tensors = {name: _checked(weights, name, value) for name, value in expected.items()}
    return Imported(PUBLISHED, (), tensors, {entry: DROPPED[entry] for entry in payload if entry in DROPPED}, {})


def imagenet_backbone(config: AFBURRConfig) -> str:
    """Name of the backbone whose ImageNet weights fit both trunks.

    Raises:
        ConfigError: there is none.
    """
    if config.query_trunk == config.memory_trunk == RESNET50:
        return "resnet50"
    if isinstance(config.query_trunk, LiteTrunk) and config.query_trunk == config.memory_trunk:
        return f"efficientnet_{config.query_trunk.variant}"
    raise ConfigError("no ImageNet weights fit this configuration", fix="use --init none or a checkpoint")


def load_imagenet(model: AFBURR, weights: Mapping[str, Tensor]) -> None:
    """Start both trunks from a torchvision ResNet (stem and layers 1 to 3) or an EfficientNet-Lite, in place.

    Raises:
        CheckpointError: a weight is missing.
    """
    if isinstance(model.encoder_q, LiteQueryEncoder) and isinstance(model.encoder_m, LiteMemoryEncoder):
        load_efficientnet(model.encoder_q.backbone, weights)
        load_efficientnet(model.encoder_m.backbone, weights)
    else:
        _load_resnets(model, weights)


def _load_resnets(model: AFBURR, weights: Mapping[str, Tensor]) -> None:
    stages = {"layer1.": "res2.", "layer2.": "res3.", "layer3.": "res4.", "conv1.": "conv1.", "bn1.": "bn1."}
    trunk = renamed_parts(weights, stages)
    for encoder in (model.encoder_q, model.encoder_m):
        state = encoder.state_dict()
        own = {"mean", "std", "conv1_m.weight", "conv1_o.weight"}
        missing = sorted(set(state) - own - set(trunk))
        if missing:
            raise CheckpointError(f"missing key '{missing[0]}'", fix="give weights of the same ResNet")
        encoder.load_state_dict({name: trunk.get(name, value) for name, value in state.items()})


def _checked(weights: Mapping[str, object], name: str, expected: Tensor) -> Tensor:
    if name not in weights:
        raise CheckpointError(f"missing key '{name}'", fix="give a complete published AFB-URR file")
    value = weights[name]
    if not isinstance(value, Tensor):
        raise CheckpointError(f"'{name}' is no tensor", fix="give a published AFB-URR file")
    if value.shape != expected.shape:
        raise CheckpointError(
            f"'{name}' has shape {tuple(value.shape)}, not {tuple(expected.shape)}",
            fix="give a published AFB-URR file",
        )
    return value.to(expected.dtype)
