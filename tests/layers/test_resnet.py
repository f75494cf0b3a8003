import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50

from vossegcli.layers.resnet import fold_stage, make_stage


@pytest.mark.parametrize(("block", "reference"), [("basic", resnet18), ("bottleneck", resnet50)])
def test_stages_are_torchvisions(block: str, reference: object) -> None:
    layer = reference(weights=None).layer2  # type: ignore[operator]
    in_channels = 64 if block == "basic" else 256
    stage = make_stage(block, in_channels, 128, len(layer), 2)  # type: ignore[arg-type]
    stage.load_state_dict(layer.state_dict())
    x = torch.rand(2, in_channels, 12, 12)
    torch.testing.assert_close(stage.eval()(x), layer.eval()(x))


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_folding_keeps_the_numbers(block: str) -> None:
    torch.manual_seed(0)
    stage = make_stage(block, 8, 8, 2, 2)  # type: ignore[arg-type]
    for module in stage.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.normal_(module.weight)
    x = torch.rand(1, 8, 16, 16)
    before = stage.eval()(x)
    fold_stage(stage)
    assert not [m for m in stage.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(stage(x), before, rtol=1e-4, atol=1e-5)
