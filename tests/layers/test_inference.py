import pytest
import torch
from torch import nn

from vossegcli.layers.efficientnet_lite import EfficientNetLite
from vossegcli.layers.inference import inference_copy, store_convolutions


def test_the_copy_is_in_eval_mode_without_gradients_and_the_original_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    twin = inference_copy(network)
    with torch.no_grad():
        twin[0].weight.zero_()
    assert not twin.training
    assert network.training
    assert not any(p.requires_grad for p in twin.parameters())
    assert all(p.requires_grad for p in network.parameters())
    assert bool(network[0].weight.any())


def test_stored_convolutions_give_what_autocast_gives() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)).eval()
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = network(image)
        store_convolutions(network, torch.bfloat16)
        assert torch.equal(network(image), expected)
    assert network[0].weight.dtype == torch.bfloat16
    assert network[1].weight.dtype == torch.float32


@torch.no_grad()
def test_layers_that_stay_exact_do_so_under_autocast() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite("lite0", stages=2, exact_start=True).eval()
    image = torch.rand(1, 3, 64, 64) + 0.3
    expected = inference_copy(network)(image)[0]
    twin = inference_copy(network, torch.bfloat16)
    store_convolutions(twin, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        first, second = twin(image)
    torch.testing.assert_close(first, expected)
    assert second.dtype == torch.bfloat16
    assert {conv.weight.dtype for conv in twin.stages[1].modules() if isinstance(conv, nn.Conv2d)} == {torch.bfloat16}


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.ReLU6(), None])
@torch.no_grad()
def test_what_follows_a_convolution_is_folded_into_it(activation: nn.Module | None) -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)]
    layers += [] if activation is None else [activation]
    network = nn.Sequential(*layers, nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU()), nn.BatchNorm2d(2)).train()
    image = torch.rand(2, 3, 8, 8)
    network(image)  # gives the norms statistics
    twin = inference_copy(network)
    torch.testing.assert_close(twin(image), network.eval()(image))
    assert len(twin) == len(network)
    assert [isinstance(m, nn.BatchNorm2d) for m in twin.children()] == [False] * (len(layers) + 1) + [True]
    assert sum(isinstance(m, nn.ReLU) for m in twin.modules()) == 0


def test_parts_that_fold_themselves_do_so() -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.folded = False

        def fold(self) -> None:
            self.folded = True

    network = nn.ModuleList([Part(), nn.ModuleList([Part()])])
    assert all(part.folded for part in inference_copy(network).modules() if isinstance(part, Part))
    assert not any(part.folded for part in network.modules() if isinstance(part, Part))
