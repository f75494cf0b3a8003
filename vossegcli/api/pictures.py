"""Pictures and masks between files, arrays and tensors. Shapes: N instances, H W pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vossegcli.errors import InputError
from vossegcli.given import given_path
from vossegcli.io.masks.label_maps import read_label_map
from vossegcli.io.media.images import read_image as _read_image
from vossegcli.ops.images import image_tensor as _image_tensor
from vossegcli.ops.masks import paste_mask
from vossegcli.systems.base import Instances, TrackedInstances

_AXES, _CHANNELS = 3, 3


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an image as (H,W,3) uint8 RGB, with its EXIF orientation applied.

    Raises:
        InputError: it cannot be read.

    Examples:
        >>> import vossegcli
        >>> vossegcli.read_image("examples/nuclei/images/fluorescence.png").shape
        (512, 512, 3)
    """
    return _read_image(given_path(path))


def read_mask(path: str | Path) -> Tensor:
    """Read a mask of any form that `propagate` takes as a label map: (H,W) int32 ids, 0 = background.

    Raises:
        InputError: it cannot be read, or is no mask.

    Examples:
        >>> import vossegcli
        >>> sorted(vossegcli.read_mask("examples/bunny/masks/00000.png").unique().tolist())[0]
        0
    """
    return torch.from_numpy(read_label_map(given_path(path), repairable=False).ids_map.astype(np.int32))


def image_tensor(image: npt.NDArray[np.uint8]) -> Tensor:
    """Turn an image (H,W,3) uint8 into what predictors take: (3,H,W) float32 RGB in [0, 1].

    Raises:
        InputError: it has another shape or type, of which the range is not known.

    Examples:
        >>> import numpy as np
        >>> import vossegcli
        >>> vossegcli.image_tensor(np.full((4, 6, 3), 255, np.uint8)).shape
        torch.Size([3, 4, 6])
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != _AXES or pixels.shape[2] != _CHANNELS:
        what = f"the image is an array of shape {pixels.shape} and type {pixels.dtype}"
        fix = "give (H,W,3) RGB of type uint8: scale other types to 0 to 255, repeat grey three times"
        raise InputError(what, fix=fix)
    return _image_tensor(np.ascontiguousarray(pixels))


def instance_masks(found: Instances | TrackedInstances, size: tuple[int, int]) -> Tensor:
    """Give the masks (N,H,W) bool of instances in an image of a size (H,W).

    Examples:
        >>> import vossegcli
        >>> predictor = vossegcli.load_predictor("instance", device="cpu")
        >>> image = vossegcli.image_tensor(vossegcli.read_image("examples/nuclei/images/fluorescence.png"))
        >>> found = predictor.predict(image[None])[0]
        >>> masks = vossegcli.instance_masks(found, (512, 512))
        >>> masks.shape[0] == len(found.scores)
        True
    """
    masks = torch.zeros(len(found.boxes), *size, dtype=torch.bool)
    regions = found.regions if isinstance(found, Instances) else found.boxes
    for whole, mask, region in zip(masks, found.masks.cpu(), regions.cpu(), strict=True):
        top, left, pixels = paste_mask(mask, region, size)
        whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return masks
