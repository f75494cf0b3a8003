"""FWB's objective, its ImageNet start, and a whole small training run.

Covers: systems.fwb.convert
"""

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet101, vgg16

from vossegcli.data.episodes import EpisodeSpec, EpisodeStream, classes_of
from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.io.weights.checkpoints import read_checkpoint
from vossegcli.layers.efficientnet_lite import imagenet_names
from vossegcli.models.chosen_model import build_network, system_of
from vossegcli.runners.train.run import TrainOptions, train
from vossegcli.samples import EpisodeSamples
from vossegcli.systems.fwb import SYSTEM
from vossegcli.systems.fwb.config import RESNET101, VGG16, FWBConfig
from vossegcli.systems.fwb.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.fwb.feature_weighting import class_difference, relevance
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.prototypes import class_vectors
from vossegcli.systems.fwb.train import fit_groups, images_without
from vossegcli.training.loop import Trainer, set_training_mode
from vossegcli.training.settings import Stage, TrainingSettings

TINY = FWBConfig("efficientnet_lite0", projected=8, head_channels=16, prototypes=2, refine_channels=8)


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


def test_a_class_is_fitted_to_its_supports_alone() -> None:
    torch.manual_seed(0)
    network = FWB(TINY)
    features = torch.randn(6, network.channels, 3, 4)  # two groups of three images
    cells = torch.rand(6, 3, 4)
    supports = torch.tensor([[[0, 1, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 0], [1, 0, 1], [1, 1, 0]]], dtype=torch.bool)
    for image, fitted in enumerate(fit_groups(network, features, cells, supports)):
        chosen = [image // 3 * 3 + k for k in range(3) if supports[image // 3, image % 3, k]]
        inside = cells[chosen]
        wanted = class_vectors(features[chosen], inside, 1.0 - inside, TINY.counts)
        assert torch.allclose(fitted.vectors, wanted, atol=1e-5)
        assert torch.allclose(
            fitted.weights, relevance(class_difference(features[chosen], inside, 1.0 - inside)), atol=1e-5
        )
        assert float(fitted.reference.single) == float(len(chosen) == 1)


def test_images_without_the_class_come_from_other_groups() -> None:
    """Four groups of two images, one of which shows the class of its partner too."""
    labels = torch.arange(1, 5).view(4, 1, 1, 1).repeat(1, 2, 2, 2)
    labels[1, 0, 0, 0] = 1
    batch = EpisodeSamples(torch.empty(0), torch.ones(4, 2, 2, 2), torch.empty(0), labels, torch.arange(4))
    others, absent = images_without(batch)
    # The first image of a group goes with the first of its partner, the second with the second of the group after next.
    assert others.tolist() == [2, 5, 0, 7, 6, 1, 4, 3]
    assert absent.tolist() == [False, True, True, True, True, True, True, True]


def test_a_frozen_backbone_takes_no_gradient(discs: Path) -> None:
    stage = Stage("a", "episodes", steps=1, batch=2, size=64, shots=1, backbone_rate=0.0, freeze_norm=True)
    trainer = Trainer(FWB(TINY), TrainingSettings("tiny", (stage,)), SYSTEM.backbone)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    stream = EpisodeStream(classes_of(read_coco_instances(discs)), 0, torch.device("cpu"))
    set_training_mode(trainer.model, freeze_norm=True)
    trainer.train_step(SYSTEM.objectives["episodes"], stream.batch(0, EpisodeSpec(2, 1, 64)), torch.float32)
    after = trainer.model.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert not [name for name in changed if name.startswith("backbone.trunk.")]
    assert "backbone.project.weight" in changed
    assert trainer.model.backbone.trunk.stem.conv.weight.grad is None


@pytest.mark.parametrize(("config", "network"), [(VGG16, vgg16), (RESNET101, resnet101)], ids=["vgg16", "resnet101"])
def test_imagenet_backbones_fit(config: FWBConfig, network: object) -> None:
    assert imagenet_backbone(config) == config.backbone
    with torch.device("meta"):
        published = network(weights=None).state_dict()  # type: ignore[operator]
        model = FWB(config)
    model.to_empty(device="cpu")
    weights = {name: torch.tensor(3, dtype=value.dtype).expand(value.shape) for name, value in published.items()}
    load_imagenet(model, weights)
    assert all(bool((value == 3).all()) for value in model.backbone.trunk.state_dict().values())
    some = next(name for name in weights if name.endswith("weight"))
    del weights[some]
    with pytest.raises(CheckpointError, match="missing key"):
        load_imagenet(model, weights)


def test_the_compact_backbone_starts_from_imagenet() -> None:
    model = FWB(TINY)
    trunk = model.backbone.trunk
    names = imagenet_names(trunk)
    assert imagenet_backbone(TINY) == "efficientnet_lite0"
    weights = {names[ours]: torch.full_like(value, 3) for ours, value in trunk.state_dict().items()}
    load_imagenet(model, weights)
    assert all(bool((value == 3).all()) for value in trunk.state_dict().values())
    del weights["_conv_stem.weight"]
    with pytest.raises(CheckpointError, match="missing key 'stem.conv.weight'"):
        load_imagenet(model, weights)
    weights["_conv_stem.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="has shape"):
        load_imagenet(model, weights)


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(CheckpointError, match="ever published"):
        convert_published({"a": 1})
    assert FWBConfig.from_dict(TINY.to_dict()) == TINY
    for bad in (
        {"backbone": "x"},
        {"steps": 0},
        {"rate": 0.0},
        {"unknown": 1},
        {"prototypes": 0},
        {"refine_channels": 8},
    ):
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
