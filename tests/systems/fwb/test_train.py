"""FWB's objective, its ImageNet start, and a whole small training run."""

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet101, vgg16

from vossegcli.data.episodes import EpisodeSpec, EpisodeStream, classes_of
from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.io.annotations import read_coco_instances
from vossegcli.io.checkpoints import read_checkpoint
from vossegcli.runners.loading import build_network, system_of
from vossegcli.runners.train import TrainOptions, train
from vossegcli.systems.fwb import SYSTEM
from vossegcli.systems.fwb.config import RESNET101, VGG16, FWBConfig
from vossegcli.systems.fwb.convert import convert_published, imagenet_backbone, load_imagenet
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.train import class_contrast

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


def test_contrast_by_hand() -> None:
    """Cells that are their own class's prototype and nothing like the other's or the ground's cost almost nothing."""
    supports = torch.zeros(2, 1, 4, 1, 2)
    queries = torch.zeros(2, 4, 1, 2)
    for b in range(2):
        supports[b, 0, b, 0, 0] = queries[b, b, 0, 0] = 1.0  # the class
        supports[b, 0, 2 + b, 0, 1] = queries[b, 2 + b, 0, 1] = 1.0  # its surroundings
    cells = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    good = class_contrast(supports, cells.unsqueeze(1), queries, cells, torch.tensor([5, 9]))
    bad = class_contrast(supports, cells.unsqueeze(1), queries, 1.0 - cells, torch.tensor([5, 9]))
    assert float(good) < 1e-3
    assert float(bad) == pytest.approx(10.0, abs=0.1), "one over the temperature"


@pytest.mark.parametrize(("config", "network"), [(VGG16, vgg16), (RESNET101, resnet101)], ids=["vgg16", "resnet101"])
def test_imagenet_backbones_fit(config: FWBConfig, network: object) -> None:
    assert imagenet_backbone(config) == config.backbone
    weights = {name: torch.full_like(value, 3) for name, value in network(weights=None).state_dict().items()}  # type: ignore[operator]
    model = FWB(config)
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
