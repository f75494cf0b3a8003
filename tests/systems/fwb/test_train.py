"""FWB's objective, its ImageNet start, and a whole small training run.

Covers: systems.fwb.convert
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet101, vgg16

from vossegcli.data.episodes import EpisodeSpec, EpisodeStream, classes_of
from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.models.chosen_model import build_network, system_of
from vossegcli.runners.train.run import TrainOptions, train
from vossegcli.systems.afb_urr.config import COMPACT as AFB_URR
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.fwb import SYSTEM
from vossegcli.systems.fwb.config import COMPACT, RESNET101, VGG16, FWBConfig
from vossegcli.systems.fwb.convert import convert_published, imagenet_backbone, load_afb_urr, load_imagenet
from vossegcli.systems.fwb.feature_weighting import (
    class_average,
    class_difference,
    relevance,
    similarity_maps,
    support_levels,
)
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.train import group_similarities, label_contrast, labels_at_cells

TINY = FWBConfig("compact", stem=8, planes=(8, 8, 16, 16), depths=(1, 1, 1, 1), head_channels=16)


def test_every_parameter_learns_and_the_loss_falls(discs: Path) -> None:
    torch.manual_seed(0)
    stream = EpisodeStream(classes_of(read_coco_instances(discs)), 0, torch.device("cpu"))
    batch = stream.batch(0, EpisodeSpec(batch=2, shots=2, size=64))
    network = FWB(TINY).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        terms = SYSTEM.objectives["episodes"](network, batch)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        losses.append(float(terms["loss"].detach()))
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert losses[-1] < 0.7 * losses[0]


def test_a_group_is_compared_as_its_episodes_would_be_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 5, 3, 4, generator=generator)  # two groups of three images
    cells = torch.rand(6, 3, 4, generator=generator)
    supports = torch.tensor([[[0, 1, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 0], [1, 0, 1], [1, 1, 0]]], dtype=torch.bool)
    maps, levels = group_similarities(features, cells, supports)
    for image in range(6):
        group = image // 3
        chosen = [3 * group + k for k in range(3) if supports[group, image % 3, k]]
        prototype = class_average(features[chosen], cells[chosen]).mean(dim=0).view(1, 1, -1)
        weights = relevance(class_difference(features[chosen], cells[chosen])).view(1, 1, -1)
        own = similarity_maps(prototype, weights, features[image : image + 1])
        assert torch.allclose(maps[image : image + 1], own, atol=1e-5)
        on_supports = similarity_maps(prototype, weights, features[chosen])
        wanted = support_levels(on_supports, cells[chosen], 1.0 - cells[chosen])
        assert float(levels.low[image]) == pytest.approx(float(wanted.low), abs=1e-5)
        assert float(levels.high[image]) == pytest.approx(float(wanted.high), abs=1e-5)


def test_contrast_by_hand() -> None:
    """Cells that are like their own label in the other image, and like nothing else, cost almost nothing."""
    features = torch.eye(3).view(1, 3, 1, 3).repeat(2, 1, 1, 1)  # three cells, each with a channel of its own
    labels = torch.tensor([[[-1, 4, 7]], [[-1, 4, 7]]])
    assert float(label_contrast(features, labels)) == pytest.approx(2 * math.exp(-10), rel=1e-2)
    turned = torch.tensor([[[-1, 4, 7]], [[4, 7, -1]]])
    assert float(label_contrast(features, turned)) == pytest.approx(10.0, abs=0.01), "one over the temperature"


def test_labels_that_only_one_image_has_are_left_out() -> None:
    features = torch.eye(3).view(1, 3, 1, 3).repeat(2, 1, 1, 1)
    labels = torch.tensor([[[-1, 4, 7]], [[-1, 4, 9]]])
    assert float(label_contrast(features, labels)) == pytest.approx(2 * math.exp(-10), rel=1e-2), (
        "the other image's label is a wrong answer, but asks for none"
    )
    assert float(label_contrast(features[:1], labels[:1])) == 0.0


def test_labels_are_taken_from_the_middle_of_the_cells() -> None:
    labels = torch.zeros(1, 16, 24, dtype=torch.int64)
    labels[0, 4, 12] = 1 << 20
    assert labels_at_cells(labels, torch.Size((2, 3)))[0].tolist() == [[0, 1 << 20, 0], [0, 0, 0]]


def test_the_backbone_starts_from_afb_urr() -> None:
    donor = AFBURR(AFB_URR).state_dict()
    model = FWB(replace(COMPACT, head_channels=8))
    before = model.state_dict()["backbone.stages.3.0.conv1.weight"].clone()
    load_afb_urr(model, donor)
    after = model.backbone.state_dict()
    assert torch.equal(after["stem.0.weight"], donor["encoder_q.conv1.weight"])
    assert torch.equal(after["stages.2.1.conv2.weight"], donor["encoder_q.res4.1.conv2.weight"])
    assert torch.equal(after["stages.3.0.conv1.weight"], before)
    with pytest.raises(CheckpointError, match="missing key 'stem.0.weight'"):
        load_afb_urr(model, {})
    with pytest.raises(CheckpointError, match="has shape"):
        load_afb_urr(FWB(TINY), donor)


@pytest.mark.parametrize(("config", "network"), [(VGG16, vgg16), (RESNET101, resnet101)], ids=["vgg16", "resnet101"])
def test_imagenet_backbones_fit(config: FWBConfig, network: object) -> None:
    assert imagenet_backbone(config) == config.backbone
    with torch.device("meta"):
        published = network(weights=None).state_dict()  # type: ignore[operator]
        model = FWB(config)
    model.to_empty(device="cpu")
    weights = {name: torch.tensor(3, dtype=value.dtype).expand(value.shape) for name, value in published.items()}
    load_imagenet(model, weights)
    assert all(bool((value == 3).all()) for value in model.backbone.state_dict().values())
    some = next(name for name in weights if name.endswith("weight"))
    del weights[some]
    with pytest.raises(CheckpointError, match="missing key"):
        load_imagenet(model, weights)


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(ConfigError, match="no ImageNet weights"):
        imagenet_backbone(TINY)
    with pytest.raises(CheckpointError, match="ever published"):
        convert_published({"a": 1})
    assert FWBConfig.from_dict(TINY.to_dict()) == TINY
    for bad in ({"backbone": "x"}, {"steps": 0}, {"rate": 0.0}, {"unknown": 1}):
        with pytest.raises(ConfigError):
            FWBConfig.from_dict(bad)


def test_a_training_run(discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYSTEM.configs, "tiny", TINY)  # type: ignore[arg-type]
    config = tmp_path / "tiny.toml"
    config.write_text(
        'config = "tiny"\nholdout = 0.0\n[[stages]]\nname = "a"\nobjective = "episodes"\n'
        "steps = 2\nbatch = 2\nsize = 32\nshots = 2\n"
    )
    facts = train(TrainOptions("fwb", (discs,), config, tmp_path / "out", precision="fp32"), lambda *_: None)
    assert (facts["classes"], facts["images"], facts["steps"]) == (1, 4, 2)
    checkpoint = read_checkpoint(str(tmp_path / "out" / "model.safetensors"))
    assert build_network(checkpoint, SYSTEM).config == TINY
    with pytest.raises(CheckpointError, match="works for `fewshot`"):
        system_of(checkpoint, task="propagate")
