from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models import resnet50

from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.layers.efficientnet_lite import EfficientNetLite, imagenet_names
from vossegcli.systems.afb_urr.config import COMPACT, PUBLISHED, LiteTrunk, TrunkConfig
from vossegcli.systems.afb_urr.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.afb_urr.model import AFBURR


@pytest.fixture(scope="module")
def payload() -> dict[str, object]:
    weights = AFBURR(PUBLISHED).state_dict()
    return {"epoch": 3, "model": weights, "optimizer": {}, "loss": np.float64(0.5), "seed": np.int64(1)}


def test_every_key_maps_to_itself_and_the_rest_is_listed(payload: dict[str, object]) -> None:
    imported = convert_published(payload)
    tensors, dropped = imported.tensors, imported.dropped
    assert len(tensors) == 562
    assert sum(t.numel() for n, t in tensors.items() if "running" not in n and "tracked" not in n) - 12 == 33_082_660
    assert set(dropped) == {"epoch", "optimizer", "loss", "seed"}


@pytest.mark.parametrize("fault", ["missing", "unknown", "misshapen", "no tensor", "no model", "extra"])
def test_faults_are_named(payload: dict[str, object], fault: str) -> None:
    key = "decoder.RF3.convFS.weight"
    weights = dict(payload["model"])  # type: ignore[call-overload]
    broken: dict[str, object] = {**payload, "model": weights}
    expected = key
    if fault == "missing":
        del weights[key]
    elif fault == "unknown":
        weights["decoder.RF9.weight"] = weights[key]
        expected = "decoder.RF9.weight"
    elif fault == "misshapen":
        weights[key] = torch.zeros(1, 2)
    elif fault == "no tensor":
        weights[key] = 3
    elif fault == "no model":
        del broken["model"]
        expected = "model"
    else:
        broken["scheduler"] = {}
        expected = "scheduler"
    with pytest.raises(CheckpointError, match=expected):
        convert_published(broken)


def test_imagenet_weights_fill_both_trunks() -> None:
    torch.manual_seed(1)
    source = resnet50(weights=None).state_dict()
    network = AFBURR(PUBLISHED)
    load_imagenet(network, source)
    assert imagenet_backbone(PUBLISHED) == "resnet50"
    for encoder in (network.encoder_q, network.encoder_m):
        assert torch.equal(encoder.res4[5].conv3.weight, source["layer3.5.conv3.weight"])
        assert torch.equal(encoder.conv1.weight, source["conv1.weight"])
    del source["layer2.0.conv1.weight"]
    with pytest.raises(CheckpointError, match=r"res3\.0\.conv1\.weight"):
        load_imagenet(network, source)


def test_imagenet_weights_fill_both_lite_backbones() -> None:
    torch.manual_seed(1)
    donor = EfficientNetLite("lite0")
    source = {theirs: donor.state_dict()[ours] for ours, theirs in imagenet_names(donor).items()}
    network = AFBURR(COMPACT)
    load_imagenet(network, source)
    assert imagenet_backbone(COMPACT) == "efficientnet_lite0"
    for encoder in (network.encoder_q, network.encoder_m):
        for name, value in encoder.backbone.state_dict().items():
            assert torch.equal(value, donor.state_dict()[name]), name
    del source["_blocks.3._bn1.weight"]
    with pytest.raises(CheckpointError, match=r"_blocks\.3\._bn1\.weight"):
        load_imagenet(network, source)


def test_trunks_that_nobody_trained_have_no_imagenet_weights() -> None:
    for trunks in (
        {"query_trunk": TrunkConfig("basic", 8, (8, 16, 16), (1, 1, 1))},
        {"memory_trunk": LiteTrunk("lite2")},
    ):
        with pytest.raises(ConfigError, match="no ImageNet weights"):
            imagenet_backbone(replace(COMPACT, context=False, **trunks))
