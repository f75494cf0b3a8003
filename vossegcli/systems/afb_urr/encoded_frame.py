"""A frame as the network sees it before it knows any masks: this part of a video can be computed ahead.

Shape letters: C channels, H' W' padded working size.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from vossegcli.ops.canvas import Canvas, shrunk_canvas
from vossegcli.ops.padding import pad
from vossegcli.ops.resize import resize_smooth
from vossegcli.systems.afb_urr.entries import AnnotatedEntries, AnnotatedReading, BankEntries, Closest, Readable
from vossegcli.systems.afb_urr.matching import Reading
from vossegcli.systems.afb_urr.model import AFBURR, STRIDE, QueryFeatures, flatten_cells
from vossegcli.systems.afb_urr.sight import likeness

T = TypeVar("T")


class Once(Generic[T]):
    """A value that two threads need: the one that comes first computes it.

    It belongs to a source, such as entries of a bank; of another source, it is computed again. No lock is held:
    Ctrl-C can strike the main thread anywhere, and the other one must not wait for it.
    """

    def __init__(self) -> None:
        self._turn: SimpleQueue[tuple[object, T] | None] = SimpleQueue()
        self._turn.put(None)

    def get(self, source: object, compute: Callable[[], T]) -> T:
        """Return it, computed now or by the other thread, which is waited for."""
        return self._known(self._turn.get(), source, compute)

    def ahead(self, source: object, compute: Callable[[], T]) -> None:
        """Compute it, unless the other thread is about to."""
        with suppress(Empty):
            self._known(self._turn.get_nowait(), source, compute)

    def found(self, source: object) -> T | None:
        """Return it if it was computed."""
        known = self._turn.get()
        self._turn.put(known)
        return None if known is None or known[0] is not source else known[1]

    def _known(self, known: tuple[object, T] | None, source: object, compute: Callable[[], T]) -> T:
        try:
            if known is None or known[0] is not source:
                known = source, compute()
        finally:
            self._turn.put(known)
        return known[1]


@dataclass(eq=False)
class EncodedFrame:
    """Features of a frame, and how its cells are related to what is known before it.

    Attributes:
        canvas: the frame's place at the working size.
        pixels: (1,3,H',W') padded, in [0, 1].
        query: the frame's features.
        number: of the frame, counted since one was encoded without knowing the frame before it.
        before: keys (1,C,h,w) and fine keys of the frame before it; None where that was not known.
        wanted: its step has begun.
    """

    canvas: Canvas
    pixels: Tensor
    query: QueryFeatures
    number: int = 0
    before: tuple[Tensor, Tensor | None] | None = None
    wanted: bool = False
    _relation: Once[Relation] = field(default_factory=Once)
    _reading: Once[list[Reading]] = field(default_factory=Once)
    _annotated: Once[AnnotatedReading] = field(default_factory=Once)
    _closest: Once[Closest] = field(default_factory=Once)

    def read(self, entries: BankEntries) -> list[Reading]:
        """Read the bank with the cells of this frame."""
        return self._reading.get(entries, partial(entries.read, self._cells))

    def read_annotated(self, entries: AnnotatedEntries) -> AnnotatedReading:
        """Read the annotated entries with the cells of this frame."""
        return self._annotated.get(entries, partial(entries.read, self._cells))

    def related(self, key: Tensor, fine_key: Tensor | None, model: AFBURR, precision: torch.dtype) -> Relation:
        """Return the relation to a frame with these keys."""
        return self._relation.get(key, partial(relation, self.query, key, fine_key, model, precision))

    def closest(self, key: Tensor) -> Closest | None:
        """Return the entries closest to the frame before, if it has this key and they were looked for."""
        return self._closest.found(key)

    def prepare(
        self, readable: Readable | None, annotated: AnnotatedEntries | None, model: AFBURR, precision: torch.dtype
    ) -> None:
        """Compute ahead what its step needs of these, until that step begins: what it needs last comes first.

        Args:
            readable: entries of the bank, and the last frame that reads them.
            annotated: entries.
            model: the network.
            precision: of `relation`.
        """
        if self.before is None:
            return
        key, fine_key = self.before
        parts: list[Callable[[], None]] = []
        if annotated is not None:
            parts.append(partial(self._annotated.ahead, annotated, partial(annotated.read, self._cells)))
        parts.append(partial(self._relation.ahead, key, partial(relation, self.query, key, fine_key, model, precision)))
        if readable is not None and self.number <= readable.last:
            parts.append(partial(self._reading.ahead, readable.entries, partial(readable.entries.read, self._cells)))
        if readable is not None and self.number == readable.last + 1:  # the frame before will be memorised
            parts.append(partial(self._closest.ahead, key, partial(_closest_to, key, readable.entries)))
        for part in parts:
            if self.wanted:
                return
            part()

    @property
    def _cells(self) -> Tensor:
        return flatten_cells(self.query.key)[0]


def _closest_to(key: Tensor, entries: BankEntries) -> Closest:
    """Look for the entries closest to the cells of a frame with a key (1,C,h,w)."""
    return Closest(entries, entries.closest(flatten_cells(key)[0]))


class Relation(NamedTuple):
    """A frame as seen from a frame after it.

    Attributes:
        weights: from `AFBURR.weigh_newest`, when the config has locality.
        cut: () whether another scene begins after it, when the config looks for cuts.
    """

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
    return Relation(weights, cut)


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
