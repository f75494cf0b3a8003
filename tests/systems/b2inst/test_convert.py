"""BlendMask's weights under AdelaiDet's names come in, all of them, or are refused by name."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.layers.efficientnet_lite import imagenet_names
from vossegcli.layers.normalise import IMAGENET_MEAN, IMAGENET_STD
from vossegcli.systems.b2inst.config import COMPACT, R50
from vossegcli.systems.b2inst.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.b2inst.model import B2Inst

#: Our names -> AdelaiDet's, written down independently of the importer.
BACK = (
    (r"backbone\.conv1\.weight", "backbone.bottom_up.stem.conv1.weight"),
    (r"backbone\.bn1\.(\w+)", r"backbone.bottom_up.stem.conv1.norm.\1"),
    (r"backbone\.fpn\.extra_blocks\.(.*)", r"backbone.top_block.\1"),
    (r"box_head\.top_layer\.(.*)", r"top_layer.\1"),
    (r"box_head\.(.*)", r"proposal_generator.fcos_head.\1"),
    (r"basis_head\.seg_head\.0\.(\d)\.(\w+)", r"basis_module.seg_head.\1.\2"),
    (r"basis_head\.seg_head\.1\.0\.(\w+)", r"basis_module.seg_head.3.\1"),
    (r"basis_head\.seg_head\.1\.1\.(\w+)", r"basis_module.seg_head.4.\1"),
    (r"basis_head\.seg_head\.2\.(\w+)", r"basis_module.seg_head.6.\1"),
    (r"basis_head\.(.*)", r"basis_module.\1"),
)


def their_name(name: str) -> str:
    found = re.fullmatch(r"backbone\.layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", name)
    if found:
        norm = ".norm" if found[3] == "bn" else ""
        return f"backbone.bottom_up.res{int(found[1]) + 1}.{found[2]}.conv{found[4]}{norm}.{found[5]}"
    found = re.fullmatch(r"backbone\.layer(\d)\.(\d+)\.downsample\.(\d)\.(\w+)", name)
    if found:
        norm = ".norm" if found[3] == "1" else ""
        return f"backbone.bottom_up.res{int(found[1]) + 1}.{found[2]}.shortcut{norm}.{found[4]}"
    found = re.fullmatch(r"backbone\.fpn\.(inner|layer)_blocks\.(\d)\.0\.(\w+)", name)
    if found:
        part = "lateral" if found[1] == "inner" else "output"
        return f"backbone.fpn_{part}{int(found[2]) + 3}.{found[3]}"
    return next(re.sub(f"^{ours}$", theirs, name) for ours, theirs in BACK if re.fullmatch(ours, name))


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """A network of AdelaiDet's names and shapes with random weights."""
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for name, value in B2Inst(R50).state_dict().items():
        if name.startswith(("scoring.", "basis_head.boundary.")) or name in {"mean", "std"}:
            continue
        drawn = torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        if name.startswith("box_head.top_layer."):
            drawn = drawn[: 4 * 14 * 14]
        if not name.endswith("num_batches_tracked"):
            weights[their_name(name)] = drawn
    return weights


def test_every_key_is_mapped(published: dict[str, Tensor]) -> None:
    extra = {"pixel_mean": torch.zeros(3), "proposal_generator.fcos_head.scales.0.scale": torch.ones(1)}
    imported = convert_published({"model": {**published, **extra}, "iteration": 3})
    assert imported.config == R50
    assert imported.labels[:2] == ("person", "bicycle")
    assert set(imported.dropped) == {"pixel_mean", "proposal_generator.fcos_head.scales.0.scale", "iteration"}
    assert any("scoring" in name for name in imported.fresh)
    assert any("boundary" in name for name in imported.fresh)
    model = B2Inst(imported.config)
    model.load_state_dict(imported.tensors)
    theirs = published["backbone.bottom_up.res4.5.conv2.norm.running_var"]
    assert torch.equal(model.backbone.layer3[5].bn2.running_var, theirs)
    assert torch.equal(model.box_head.top_layer.weight[:784], published["top_layer.weight"])
    assert model.box_head.top_layer.weight.shape[0] == 5 * 14 * 14


def test_the_first_convolution_sees_what_it_was_trained_on(published: dict[str, Tensor]) -> None:
    """Theirs on BGR from 0 to 255 less the mean, ours on normalised RGB."""
    image = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (IMAGENET_MEAN, IMAGENET_STD))
    bgr = (255.0 * (image - mean)).flip(1)
    theirs = torch.nn.functional.conv2d(bgr, published["backbone.bottom_up.stem.conv1.weight"])
    ours = torch.nn.functional.conv2d(
        (image - mean) / std, convert_published(published).tensors["backbone.conv1.weight"]
    )
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone.bottom_up.res4.5.conv2.weight": None}, "missing key 'backbone.layer3.5.conv2.weight'"),
        ({"backbone.bottom_up.res9.0.conv1.weight": torch.ones(1)}, r"unknown key 'backbone\.layer8"),
        ({"something.else": torch.ones(1)}, "unknown key 'something.else'"),
        ({"top_layer.bias": torch.ones(7)}, "'box_head.top_layer.bias' has shape"),
        ({"proposal_generator.fcos_head.cls_logits.weight": None}, "missing key"),
        ({"backbone.fpn_lateral3.weight": "text"}, "is no tensor"),
    ],
)
def test_what_does_not_fit_is_named(published: dict[str, Tensor], change: dict[str, object], message: str) -> None:
    weights = {k: v for k, v in {**published, **change}.items() if v is not None}
    with pytest.raises(CheckpointError, match=message):
        convert_published(weights)


def test_imagenet_backbones() -> None:
    assert imagenet_backbone(R50) == "resnet50"
    assert imagenet_backbone(COMPACT) == "efficientnet_lite0"
    with pytest.raises(ConfigError, match="no ImageNet weights"):
        imagenet_backbone(replace(R50, depths=(1, 1, 1, 1)))
    model = B2Inst(R50)
    weights = {k: torch.full_like(v, 2) for k, v in model.backbone.state_dict().items() if "fpn" not in k}
    load_imagenet(model, {**weights, "fc.bias": torch.ones(1)})
    assert float(model.backbone.layer4[2].conv3.weight.detach().mean()) == 2.0
    with pytest.raises(CheckpointError, match="missing key 'bn1.bias'"):
        load_imagenet(model, {})


def test_efficientnet_starts_from_its_published_weights() -> None:
    model = B2Inst(COMPACT)
    names = imagenet_names(model.backbone.trunk)
    weights = {theirs: torch.full_like(model.backbone.trunk.state_dict()[ours], 2) for ours, theirs in names.items()}
    load_imagenet(model, {**weights, "_fc.bias": torch.ones(1)})
    assert all(float(value.float().mean()) == 2.0 for value in model.backbone.trunk.state_dict().values())
    assert model.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    with pytest.raises(CheckpointError, match="missing key '_blocks"):
        load_imagenet(model, {})
