"""The annotated images of one class as the predictor needs them: encoded one by one, stacked in one size.

Shape letters: K supports, C channels, H W pixels, h w cells at stride 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.errors import InputError
from vossegcli.ops.canvas import Canvas
from vossegcli.ops.images import in_unit_range
from vossegcli.ops.padding import pad
from vossegcli.systems.fwb.backbones import Encoded
from vossegcli.systems.fwb.losses import VOID
from vossegcli.systems.fwb.model import masks_at_cells

HALF = 0.5  # of a pixel, from which on it belongs to the class


class Supports(NamedTuple):
    """Supports of any sizes in one; what lies beyond a smaller image is neither class nor surroundings.

    Attributes:
        encoded: (K,...) what the backbone makes of them.
        inside: (K,h,w) share of each cell that is the class.
        outside: (K,h,w) share that is not.
        truth: (K,H,W) int64 of 0, 1 and 255 beyond the image.
    """

    encoded: Encoded
    inside: Tensor
    outside: Tensor
    truth: Tensor


def stack_supports(
    images: Sequence[Tensor],
    masks: Sequence[Tensor],
    encode: Callable[[Tensor], Encoded],
    canvas_of: Callable[[Tensor], Canvas],
    device: torch.device,
) -> Supports:
    """Bring supports to the working size, encode each alone, and stack them.

    Args:
        images: K images (3,H,W) of any sizes.
        masks: K masks (H,W), above 0 = the class.
        encode: from images (1,3,H,W) to features.
        canvas_of: from an image to the canvas on which the network works.
        device: of the result.

    Raises:
        InputError: no support, a mask of another size than its image, or one that is empty or full.
    """
    if not images or len(images) != len(masks):
        raise InputError(f"{len(images)} support images and {len(masks)} masks", fix="give a mask with each image")
    parts = []
    for number, (image, mask) in enumerate(zip(images, masks, strict=True), start=1):
        _check_support(number, image, mask)
        canvas = canvas_of(image)
        encoded = encode(canvas.enter(in_unit_range(image.to(device)).unsqueeze(0)))
        soft = F.interpolate((mask.to(device) > 0).float()[None, None], size=canvas.size, mode="area")[0]  # (1,H,W)
        inside, outside = pad(soft, canvas.padding), pad(1.0 - soft, canvas.padding)
        truth = torch.where(inside + outside > 0, (inside > HALF).long(), VOID)
        cells = (int(encoded.features.shape[2]), int(encoded.features.shape[3]))
        parts.append(Supports(encoded, masks_at_cells(inside, cells), masks_at_cells(outside, cells), truth))
    return Supports(
        Encoded(*(_stacked(same, 0.0) for same in zip(*(part.encoded for part in parts), strict=True))),
        _stacked([part.inside for part in parts], 0.0),
        _stacked([part.outside for part in parts], 0.0),
        _stacked([part.truth for part in parts], VOID),
    )


def _stacked(tensors: Sequence[Tensor], beyond: float) -> Tensor:
    """Tensors (1,...,h,w) of different sizes as one (K,...,h,w) of the largest, filled up to the right and below."""
    height, width = (max(int(tensor.shape[axis]) for tensor in tensors) for axis in (-2, -1))
    return torch.cat([F.pad(t, (0, width - t.shape[-1], 0, height - t.shape[-2]), value=beyond) for t in tensors])


def _check_support(number: int, image: Tensor, mask: Tensor) -> None:
    if mask.shape != image.shape[-2:]:
        raise InputError(
            f"the mask of support {number} is {tuple(mask.shape)}, its image {tuple(image.shape[-2:])}",
            fix="give a mask of the image's size",
        )
    share = float((mask > 0).float().mean())
    if share in (0.0, 1.0):
        what = "empty" if share == 0.0 else "full: it has no background"
        raise InputError(f"the mask of support {number} is {what}", fix="mark the class, and only the class")
