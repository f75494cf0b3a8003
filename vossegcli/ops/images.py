"""Pictures as the predictors take them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def image_tensor(image: npt.NDArray[np.uint8]) -> Tensor:
    """Turn a picture (H,W,3) of 8-bit RGB into (3,H,W) float32 in [0, 1]."""
    writable = image if image.flags.writeable else image.copy()
    return torch.from_numpy(writable).permute(2, 0, 1).float().div_(255.0)


def in_unit_range(images: Tensor) -> Tensor:
    """Give RGB of 8 bits as float32 in [0, 1]; floating point is that already."""
    return images.float().div_(255.0) if images.dtype == torch.uint8 else images


def to_pixels(image: Tensor) -> npt.NDArray[np.uint8]:
    """Turn (3,H,W) float RGB in [0, 1] into a picture (H,W,3) of 8-bit RGB."""
    pixels: npt.NDArray[np.uint8] = (image.permute(1, 2, 0) * 255.0).round().clamp(0, 255).byte().cpu().numpy()
    return pixels
