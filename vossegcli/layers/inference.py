"""Networks made ready for inference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vossegcli.layers.fused_convolutions import ConvolutionReLU
from vossegcli.layers.winograd import use_winograd

Network = TypeVar("Network", bound=nn.Module)


@runtime_checkable
class Folding(Protocol):
    """A part of a network that has a batch norm outside of an `nn.Sequential`."""

    def fold(self) -> None:
        """Fold batch norms (in eval mode) into their convolutions, in place; once folded, change nothing."""


@runtime_checkable
class PartlyExact(Protocol):
    """A part of a network with layers that stay in float32, also under autocast."""

    def exact_layers(self) -> Sequence[nn.Module]:
        """Return those layers."""


def inference_copy(network: Network, precision: torch.dtype = torch.float32) -> Network:
    """Copy a network for inference; the original stays as it is.

    Args:
        network: on its device.
        precision: type in which it computes.

    Returns:
        The copy in eval mode, without gradients, with batch norms folded into the convolutions before them. In float32
        on a CPU, wide 3x3 convolutions also keep their kernels as Winograd's algorithm takes them.
    """
    twin = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    for part in list(twin.modules()):
        if isinstance(part, Folding):
            part.fold()
        elif isinstance(part, nn.Sequential):
            _fold_sequence(part)
    if precision == torch.float32:
        use_winograd(twin)
    return twin


def store_convolutions(network: nn.Module, precision: torch.dtype) -> None:
    """Keep the weights of convolutions, in place, in the precision in which autocast computes them.

    It would convert them anew at every call. Parts that are also used outside autocast must not be among them; layers
    that stay in float32 say so themselves.
    """
    parts = [part for part in network.modules() if isinstance(part, PartlyExact)]
    exact = {module for part in parts for layer in part.exact_layers() for module in layer.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module not in exact:
            module.to(precision)


def _fold_sequence(layers: nn.Sequential) -> None:
    """Fold the batch norm, then the ReLU, that follows a convolution into it, in place; layers keep their numbers."""
    joins: list[tuple[type[nn.Module], Callable[[nn.Conv2d, Any], nn.Module]]] = [
        (nn.BatchNorm2d, fuse_conv_bn_eval), (nn.ReLU, lambda conv, _: ConvolutionReLU(conv)),
    ]  # fmt: skip
    for kind, join in joins:
        left = [number for number, layer in enumerate(layers) if not isinstance(layer, nn.Identity)]
        for first, second in pairwise(left):
            conv, following = layers[first], layers[second]
            if isinstance(conv, nn.Conv2d) and isinstance(following, kind):
                layers[first], layers[second] = join(conv, following), nn.Identity()
