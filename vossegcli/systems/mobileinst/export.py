"""MobileInst as two graphs for other runtimes: one for key frames, a lighter one that reuses their kernels.

Shape letters: N queries, K length of a kernel, L classes, H W pixels, multiples of 64.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vossegcli.errors import ConfigError
from vossegcli.systems.base import Graph
from vossegcli.systems.mobileinst.backbone import STRIDE
from vossegcli.systems.mobileinst.mask_decoder import mask_logits
from vossegcli.systems.mobileinst.model import MobileInst
from vossegcli.systems.mobileinst.predict import instance_scores


class KeyFrame(nn.Module):
    """Images (1,3,H,W) in [0, 1] to kernels (1,N,K), scores (1,N,L) and probabilities (1,N,H/4,W/4)."""

    def __init__(self, model: MobileInst) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the instances of a frame."""
        encoded = self.model(images)
        found = self.model.detect(encoded)
        masks = mask_logits(found.kernels, encoded.embedded).sigmoid()
        return found.kernels, instance_scores(found, 0).unsqueeze(0), masks


class ReusedKernels(nn.Module):
    """Images (1,3,H,W) in [0, 1] and kernels (1,N,K) of an earlier frame to probabilities (1,N,H/4,W/4)."""

    def __init__(self, model: MobileInst) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, kernels: Tensor) -> Tensor:
        """Find the same instances in another frame."""
        return mask_logits(kernels, self.model(images).embedded).sigmoid()


def graphs(model: MobileInst, size: tuple[int, int]) -> list[Graph]:
    """The two graphs for frames of a size (H,W).

    Raises:
        ConfigError: a side is not a multiple of 64.
    """
    if any(side % STRIDE or side < STRIDE for side in size):
        raise ConfigError(f"size is {size[0]}x{size[1]}", fix=f"give multiples of {STRIDE}, e.g. 512x512")
    images = torch.rand(1, 3, *size)
    with torch.no_grad():
        kernels = model.detect(model(images)).kernels
    return [
        Graph("key", KeyFrame(model).eval(), {"images": images}, ("kernels", "scores", "masks")),
        Graph("reuse", ReusedKernels(model).eval(), {"images": images, "kernels": kernels}, ("masks",)),
    ]
