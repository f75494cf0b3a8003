"""Normalisation of the images that a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class NormalisedInput(nn.Module):
    """Base of networks that take RGB in [0, 1]; the constants are stored with the weights, as `mean` and `std`.

    Args:
        mean: of each channel, in [0, 1]; ImageNet's by default.
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def normalise(self, images: Tensor) -> Tensor:
        """Map RGB (B,3,H,W) in [0, 1] to zero mean and unit variance."""
        return (images - self.mean) / self.std
