import torch
from torch import nn

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
