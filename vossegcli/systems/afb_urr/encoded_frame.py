"""A frame as the network sees it before it knows any masks: this part of a video can be computed ahead.

Shape letters: C channels, H' W' padded working size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vossegcli.ops.canvas import Canvas, shrunk_canvas
from vossegcli.ops.padding import pad
from vossegcli.ops.resize import resize_smooth
from vossegcli.systems.afb_urr.model import AFBURR, STRIDE, QueryFeatures


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """Features of a frame, and how its cells are related to those of the frame before it.

    Attributes:
        canvas: the frame's place at the working size.
        pixels: (1,3,H',W') padded, in [0, 1].
        query: the frame's features.
        before: fine key of the frame that `weights` refer to.
        weights: from `AFBURR.weigh_newest`; None where that frame was not known.
    """

    canvas: Canvas
    pixels: Tensor
    query: QueryFeatures
    before: Tensor | None = None
    weights: Tensor | None = None

    def weights_to(self, fine_key: Tensor, model: AFBURR) -> Tensor:
        """Weights of the cells of the frame with this fine key; computed now, if they are not known."""
        if self.weights is not None and self.before is fine_key:
            return self.weights
        assert self.query.fine_key is not None
        return model.weigh_newest(self.query.fine_key, fine_key)


def prepared_pixels(frame: Tensor, short_side: int | None, device: torch.device) -> tuple[Canvas, Tensor]:
    """Bring a frame (3,H,W) onto its canvas: (1,3,H',W'); 8 bits become floating point on the device."""
    canvas = shrunk_canvas(frame, short_side, STRIDE)
    pixels = frame.to(device, non_blocking=True).unsqueeze(0)
    if pixels.dtype == torch.uint8 and device.type == "cpu":
        # In 8 bits, as image libraries do it: rounded, but many times as fast, and a quarter of the memory.
        small = pad(resize_smooth(pixels, canvas.size).float() / 255.0, canvas.padding)
    elif pixels.dtype == torch.uint8:
        small = canvas.enter(pixels.float()) / 255.0
    else:
        small = canvas.enter(pixels)
    return canvas, small.contiguous(memory_format=torch.channels_last)
