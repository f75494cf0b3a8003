import torch
from torch import nn

from vossegcli.layers.inference import inference_copy


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
