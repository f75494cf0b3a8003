"""Weights of others for B2Inst: ImageNet backbones, and BlendMask's networks from AdelaiDet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.layers.normalise import IMAGENET_STD
from vossegcli.systems.b2inst.backbone import EfficientNetPyramid
from vossegcli.systems.b2inst.config import R50, R101, B2InstConfig
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.base import Imported, load_efficientnet

_RESNETS = {(3, 4, 6, 3): "resnet50", (3, 4, 23, 3): "resnet101"}
_BACKBONE = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_FIX = "give a BlendMask checkpoint of AdelaiDet with ResNet-50 or ResNet-101"

#: Where AdelaiDet keeps a part -> where we have it; `\\1` ... are what the groups found.
_PLACES = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"backbone\.bottom_up\.stem\.conv1\.weight", r"backbone.conv1.weight"),
        (r"backbone\.bottom_up\.stem\.conv1\.norm\.(\w+)", r"backbone.bn1.\1"),
        (r"backbone\.bottom_up\.res(\d)\.(\d+)\.conv(\d)\.weight", r"backbone.layer\1.\2.conv\3.weight"),
        (r"backbone\.bottom_up\.res(\d)\.(\d+)\.conv(\d)\.norm\.(\w+)", r"backbone.layer\1.\2.bn\3.\4"),
        (r"backbone\.bottom_up\.res(\d)\.(\d+)\.shortcut\.weight", r"backbone.layer\1.\2.downsample.0.weight"),
        (r"backbone\.bottom_up\.res(\d)\.(\d+)\.shortcut\.norm\.(\w+)", r"backbone.layer\1.\2.downsample.1.\3"),
        (r"backbone\.fpn_lateral(\d)\.(\w+)", r"backbone.fpn.inner_blocks.\1.0.\2"),
        (r"backbone\.fpn_output(\d)\.(\w+)", r"backbone.fpn.layer_blocks.\1.0.\2"),
        (r"backbone\.top_block\.(p6|p7)\.(\w+)", r"backbone.fpn.extra_blocks.\1.\2"),
        (r"proposal_generator\.fcos_head\.(cls_tower|bbox_tower)\.(\d+)\.(\w+)", r"box_head.\1.\2.\3"),
        (r"proposal_generator\.fcos_head\.(cls_logits|bbox_pred|ctrness)\.(\w+)", r"box_head.\1.\2"),
        (r"(?:proposal_generator\.)?top_layer\.(\w+)", r"box_head.top_layer.\1"),
        (r"basis_module\.refine\.(\d)\.(\d)\.(\w+)", r"basis_head.refine.\1.\2.\3"),
        (r"basis_module\.tower\.(\d)\.(\d)\.(\w+)", r"basis_head.tower.\1.\2.\3"),
        (r"basis_module\.tower\.5\.(\w+)", r"basis_head.tower.5.\1"),
        (r"basis_module\.seg_head\.(0|1)\.(\w+)", r"basis_head.seg_head.0.\1.\2"),
        (r"basis_module\.seg_head\.3\.(\w+)", r"basis_head.seg_head.1.0.\1"),
        (r"basis_module\.seg_head\.4\.(\w+)", r"basis_head.seg_head.1.1.\1"),
        (r"basis_module\.seg_head\.6\.(\w+)", r"basis_head.seg_head.2.\1"),
    )
)
#: Entries without a place here, and why.
_LEFT = (
    (re.compile(r"pixel_(mean|std)"), "we normalise by constants of our own"),
    (re.compile(r"proposal_generator\.fcos_head\.scales\..*"), "USE_SCALE is off in BlendMask"),
    (re.compile(r".*\.num_batches_tracked"), "training state"),
)


def convert_published(payload: Mapping[str, object]) -> Imported:
    """Map BlendMask's weights to ours; the boundary basis and the scoring head start fresh.

    AdelaiDet's networks see BGR values from 0 to 255, ours normalised RGB: the first convolution is changed to match.

    Args:
        payload: the file's dict, the weights directly or under `model`.

    Raises:
        CheckpointError: a key is unknown, missing or misshapen; it is named.
    """
    inner = payload.get("model")
    weights = inner if isinstance(inner, Mapping) else payload
    dropped = {} if weights is payload else {name: "training state" for name in payload if name != "model"}
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        reason = next((why for pattern, why in _LEFT if pattern.fullmatch(name)), None)
        if reason is not None:
            dropped[name] = reason
            continue
        if not isinstance(value, Tensor):
            raise CheckpointError(f"'{name}' is no tensor", fix=_FIX)
        found[_our_name(name)] = value.float()
    config = _config_of(found)
    tensors, fresh = _complete(found, config)
    scale = 255.0 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    tensors["backbone.conv1.weight"] = tensors["backbone.conv1.weight"].flip(1) * scale
    labels = COCO_CLASSES if config.classes == len(COCO_CLASSES) else tuple(map(str, range(1, config.classes + 1)))
    return Imported(config, labels, tensors, dropped, fresh)


def _complete(found: dict[str, Tensor], config: B2InstConfig) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All weights of the network, and which of them are fresh."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = B2Inst(config)
    tensors, fresh = {}, {}
    for name, own in network.state_dict().items():
        if name.startswith(("scoring.", "basis_head.boundary.")):
            fresh[name] = "BlendMask has none"
            tensors[name] = own
        elif name.endswith("num_batches_tracked") or name in {"mean", "std"}:
            tensors[name] = own
        elif name not in found:
            raise CheckpointError(f"missing key '{name}' (by our name)", fix=_FIX)
        else:
            tensors[name] = found.pop(name)
            if name.startswith("box_head.top_layer."):
                tensors[name] = torch.cat([tensors[name], own[config.bases * config.attention**2 :]])
                fresh[f"{name}, rows of the boundary"] = "BlendMask has none"
        if tensors[name].shape != own.shape:
            raise CheckpointError(f"'{name}' has shape {tuple(tensors[name].shape)}, not {tuple(own.shape)}", fix=_FIX)
    if found:
        raise CheckpointError(f"unknown key '{min(found)}' (by our name)", fix=_FIX)
    return tensors, fresh


def _our_name(name: str) -> str:
    for pattern, place in _PLACES:
        match = pattern.fullmatch(name)
        if match is not None:
            ours = match.expand(place)
            ours = re.sub(r"backbone\.layer(\d)", lambda m: f"backbone.layer{int(m[1]) - 1}", ours)
            return re.sub(r"((?:inner|layer)_blocks)\.(\d)", lambda m: f"{m[1]}.{int(m[2]) - 3}", ours)
    raise CheckpointError(f"unknown key '{name}'", fix=_FIX)


def _config_of(weights: Mapping[str, Tensor]) -> B2InstConfig:
    """The published configuration that the weights are of."""
    logits = weights.get("box_head.cls_logits.weight")
    if logits is None:
        raise CheckpointError("missing key 'proposal_generator.fcos_head.cls_logits.weight'", fix=_FIX)
    base = R101 if "backbone.layer3.22.conv1.weight" in weights else R50
    return replace(base, classes=int(logits.shape[0]))


def imagenet_backbone(config: B2InstConfig) -> str:
    """Name of the backbone whose ImageNet weights fit.

    Raises:
        ConfigError: there is none.
    """
    if config.backbone != "resnet":
        return config.backbone
    if config.depths not in _RESNETS:
        raise ConfigError("no ImageNet weights fit this configuration", fix="use --init none or a checkpoint")
    return _RESNETS[config.depths]


def load_imagenet(model: B2Inst, weights: Mapping[str, Tensor]) -> None:
    """Start the backbone from torchvision's ResNet or a published EfficientNet-Lite, in place.

    Raises:
        CheckpointError: a weight is missing.
    """
    if isinstance(model.backbone, EfficientNetPyramid):
        load_efficientnet(model.backbone.trunk, weights)
        return
    own = {name: value for name, value in model.backbone.state_dict().items() if name.startswith(_BACKBONE)}
    missing = sorted(set(own) - set(weights))
    if missing:
        raise CheckpointError(f"missing key '{missing[0]}'", fix="give weights of the same ResNet")
    model.backbone.load_state_dict({**model.backbone.state_dict(), **{name: weights[name] for name in own}})


#: In the order of their labels.
COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
