"""A frame as the network sees it before it knows any masks: this part of a video can be computed ahead.

Shape letters: C channels, H' W' padded working size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.ops.canvas import Canvas, shrunk_canvas
from vossegcli.ops.padding import pad
from vossegcli.ops.resize import resize_smooth
from vossegcli.systems.afb_urr.entries import AnnotatedEntries, AnnotatedReading, BankEntries, Closest
from vossegcli.systems.afb_urr.matching import Reading
from vossegcli.systems.afb_urr.model import AFBURR, STRIDE, QueryFeatures, flatten_cells
from vossegcli.systems.afb_urr.sight import likeness


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """Features of a frame, and how its cells are related to those of the frame before it.

    Attributes:
        canvas: the frame's place at the working size.
        pixels: (1,3,H',W') padded, in [0, 1].
        query: the frame's features.
        number: of the frame, counted since one was encoded without knowing the frame before it.
        relation: to the frame before; None where that was not known.
        reading: entries of the bank that it has read, and the readings; None where the right ones were not known.
        annotated: annotated entries that it was compared to, and what was read from them.
        closest: entries that are closest to the frame before, which is to be memorised; None where not known.
    """

    canvas: Canvas
    pixels: Tensor
    query: QueryFeatures
    number: int = 0
    relation: Relation | None = None
    reading: tuple[BankEntries, list[Reading]] | None = None
    annotated: tuple[AnnotatedEntries, AnnotatedReading] | None = None
    closest: Closest | None = None

    def read(self, entries: BankEntries) -> list[Reading]:
        """Read the bank with the cells of this frame; computed now, if it was not done for these entries."""
        if self.reading is not None and self.reading[0] is entries:
            return self.reading[1]
        return entries.read(flatten_cells(self.query.key)[0])

    def read_annotated(self, entries: AnnotatedEntries) -> AnnotatedReading:
        """Read the annotated entries with the cells of this frame; computed now, if it was done for others."""
        if self.annotated is not None and self.annotated[0] is entries:
            return self.annotated[1]
        return entries.read(flatten_cells(self.query.key)[0])

    def related(self, key: Tensor, fine_key: Tensor | None, model: AFBURR, precision: torch.dtype) -> Relation:
        """Return the relation to a frame with these keys; computed now, if it is not known."""
        if self.relation is not None and self.relation.key is key:
            return self.relation
        return relation(self.query, key, fine_key, model, precision)


class Relation(NamedTuple):
    """A frame as seen from a frame after it.

    Attributes:
        key: (1,C,h,w) of that frame.
        weights: from `AFBURR.weigh_newest`, when the config has locality.
        cut: () whether another scene begins after it, when the config looks for cuts.
    """

    key: Tensor
    weights: list[Tensor] | None
    cut: Tensor | None


def relation(
    query: QueryFeatures, key: Tensor, fine_key: Tensor | None, model: AFBURR, precision: torch.dtype
) -> Relation:
    """Relate a frame to one with the given keys; weights are kept, and cuts looked for, in a precision."""
    weights = cut = None
    if query.fine_key is not None and fine_key is not None:
        weights = [part.to(precision) for part in model.weigh_newest(query.fine_key, fine_key)]
    if model.config.cut_similarity:
        cut = likeness(key[0], query.key[0], precision) < model.config.cut_similarity
    return Relation(key, weights, cut)


def prepared_pixels(frame: Tensor, short_side: int | None, device: torch.device) -> tuple[Canvas, Tensor]:
    """Bring a frame (3,H,W) onto its canvas: (1,3,H',W'); 8 bits become floating point on the device."""
    canvas = shrunk_canvas(frame, short_side, STRIDE)
    pixels = frame.to(device, non_blocking=True).unsqueeze(0)
    if pixels.dtype == torch.uint8 and device.type == "cpu":
        # In 8 bits, as image libraries do it: rounded, but many times as fast, and a quarter of the memory.
        padded = pad(resize_smooth(pixels, canvas.size), canvas.padding)
        small = padded.contiguous(memory_format=torch.channels_last).float().div_(255.0)
    elif pixels.dtype == torch.uint8:
        small = canvas.enter(pixels.float()) / 255.0
    else:
        small = canvas.enter(pixels)
    return canvas, small.contiguous(memory_format=torch.channels_last)
