"""Networks made ready for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def inference_copy(network: Network) -> Network:
    """Copy a network for inference: eval mode, no gradients; the original stays as it is."""
    return copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
