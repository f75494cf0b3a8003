"""The resized and padded picture on which a network works, and the way back to native pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.ops.padding import Padding, centred_padding, pad, trailing_padding, unpad
from vossegcli.ops.resize import Size, resize_smooth, scaled_size, size_of, working_size


class Canvas(NamedTuple):
    """Place of an image while a network works on it; padded sides are multiples of the network's stride.

    Attributes:
        native: (H,W) of the image.
        size: (H,W) that it is resized to, without padding.
        padding: pixels around it.
    """

    native: Size
    size: Size
    padding: Padding

    @property
    def padded(self) -> Size:
        """(H',W') with the padding."""
        left, right, top, bottom = self.padding
        return self.size[0] + top + bottom, self.size[1] + left + right

    def enter(self, x: Tensor) -> Tensor:
        """Resize and pad native pixels (B,C,H,W): (B,C,H',W')."""
        return pad(resize_smooth(x, self.size), self.padding)

    def leave(self, x: Tensor) -> Tensor:
        """Bring (B,C,H',W') back to native pixels (B,C,H,W)."""
        return resize_smooth(unpad(x, self.padding), self.native)

    def box_scale(self, device: torch.device) -> Tensor:
        """Return the factors (4,) from `boxes_xyxy` on the canvas to boxes in native pixels; for trailing padding."""
        height, width = self.native[0] / self.size[0], self.native[1] / self.size[1]
        return torch.tensor([width, height, width, height], device=device)


def shrunk_canvas(images: Tensor, short_side: int | None, multiple: int) -> Canvas:
    """Plan for images (...,H,W) that are made smaller only (`working_size`), padded on all sides."""
    native = size_of(images)
    size = working_size(native, short_side)
    return Canvas(native, size, centred_padding(*size, multiple))


def scaled_canvas(images: Tensor, short_side: int, multiple: int) -> Canvas:
    """Plan for images (...,H,W) that are scaled to a short side (`scaled_size`), padded to the right and below."""
    native = size_of(images)
    size = scaled_size(native, short_side)
    return Canvas(native, size, trailing_padding(*size, multiple))
