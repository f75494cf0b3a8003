"""Networks made ready for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def inference_copy(network: Network) -> Network:
    """Copy a network for inference: eval mode, no gradients; the original stays as it is."""
    return copy.deepcopy(network).eval().requires_grad_(requires_grad=False)


def store_convolutions(network: nn.Module, precision: torch.dtype) -> None:
    """Keep the weights of convolutions, in place, in the precision in which autocast computes them.

    It would convert them anew at every call. Parts that are also used outside autocast must not be among them.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(precision)
