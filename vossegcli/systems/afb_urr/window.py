"""The part of a frame where objects can be: the decoder works there alone (addition).

What is read from the memory and from the newest frame tells roughly where the objects are. Most frames hold nothing
elsewhere, and decoding is half of the work on a CPU.

Shape letters: B frames, K classes (background is class 0), h w cells at stride 16, H W pixels of the working size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.resize import size_of
from vossegcli.ops.spans import span_of, within
from vossegcli.systems.afb_urr.decoder import LARGEST, Decoder, Skips

#: Cells around those that can hold an object.
MARGIN = 2
#: Sides of a window are multiples of as many cells, for a CPU prepares its kernels anew for every size.
STEP = 4


class Window(NamedTuple):
    """A part of the grid of cells, on the device: its first row and column (2,), and its height and width (2,)."""

    first: Tensor
    lengths: Tensor

    def inside(self, cells: tuple[int, int]) -> Tensor:
        """Tell which of h x w cells lie in it, (h,w) bool, without waiting for the device."""
        sides = zip(self.first, self.lengths, cells, strict=True)
        rows, columns = (within(first, first + length, size) for first, length, size in sides)
        both: Tensor = rows.unsqueeze(1) & columns
        return both


def window_around(likely: Tensor) -> Window:
    """Find the window around the cells (h,w) that can hold an object; without any, a side of it is not above 0."""
    sizes = torch.tensor(likely.shape).to(likely.device, non_blocking=True)
    first, after = zip(*(span_of(likely.any(dim=axis)) for axis in (1, 0)), strict=True)  # of rows and columns
    begin = (torch.stack(first) - MARGIN).clamp_min(0)
    needed = torch.minimum(torch.stack(after) + MARGIN, sizes) - begin
    lengths = torch.minimum((needed + STEP - 1).div(STEP, rounding_mode="floor") * STEP, sizes)
    centred = begin - (lengths - needed).div(2, rounding_mode="floor")
    return Window(torch.minimum(centred.clamp_min(0), sizes - lengths), lengths)


def works_in_parts(device: torch.device) -> bool:
    """Return True where decoding the window alone pays: elsewhere, its numbers would have to be waited for."""
    return device.type == "cpu"


def decode_near(
    decoder: Decoder,
    least: float,
    read: Tensor,
    skips: Skips,
    newest: Tensor | None,
    guidance: Tensor | None,
    evidence: Tensor | None = None,
) -> Tensor:
    """Decode where objects can be; everything else is background.

    Args:
        decoder: of the network.
        least: share of an object, somewhere in a cell, from which on it can be there.
        read: (B,K,C,h,w), as the following for the decoder.
        skips: of the frames.
        newest: (B,K,N,h,w) or None.
        guidance: (B,K,G,4h,4w) masks as read; needed here.
        evidence: (B,K,4h,4w) or None.

    Returns:
        (B,K,H,W) float32 log odds of each class on its own.
    """
    assert guidance is not None
    cells = size_of(read)
    likely = F.max_pool2d(guidance[:, 1:].amax(dim=(0, 1, 2)).float()[None], 4)[0] > least
    window = window_around(likely)
    height, width = (2 * side for side in size_of(skips.stride2))
    nothing = torch.full((1, read.shape[1], 1, 1), -LARGEST, device=read.device)
    nothing[:, 0] = LARGEST
    if not works_in_parts(read.device):
        inside = F.interpolate(window.inside(cells).float()[None, None], size=(height, width)) > 0.0
        return torch.where(inside, decoder(read, skips, newest, guidance, evidence), nothing)
    (top, left), (rows, columns) = window.first.tolist(), window.lengths.tolist()
    result = nothing.expand(*read.shape[:2], height, width).clone()
    if min(rows, columns) <= 0:
        return result

    def part_of(x: Tensor | None) -> Tensor | None:
        return None if x is None else part(x)

    def part(x: Tensor) -> Tensor:
        down, right = x.shape[-2] // cells[0], x.shape[-1] // cells[1]
        return x[..., top * down : (top + rows) * down, left * right : (left + columns) * right]

    near = Skips(*(part(x).contiguous(memory_format=torch.channels_last) for x in skips))
    decoded = decoder(part(read), near, *(part_of(x) for x in (newest, guidance, evidence)))
    part(result).copy_(decoded)
    return result
