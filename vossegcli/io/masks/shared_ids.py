"""Meaning of the values of several masks together: one id for a colour in all of them.

A mask of colours holds no ids. Read alone, its colours are numbered in their order: red would be object 2 beside green,
and object 1 in the next mask, which shows red alone.

Shapes: H W pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vossegcli.errors import InputError
from vossegcli.io.masks.label_maps import VOID, ids_of_colors
from vossegcli.types import LabelMap

Color = tuple[int, int, int]

WHITE = (255, 255, 255)
_NEAR = 32  # levels: what JPEG adds to a flat colour
_FIX = "save all masks with ids (palette or grey PNG), or all with the same colours"


@dataclass(frozen=True)
class SharedIds:
    """The meaning of the values of several masks.

    Attributes:
        first: ids of the first of them that holds an object; empty = they may mean anything.
        table: the id of each colour, where the masks are of colours; else empty.
        numbered: whether the ids of colours were made up.
        note: what was interpreted, or None.
    """

    first: tuple[int, ...] = ()
    table: Mapping[Color, int] = field(default_factory=dict)
    numbered: bool = False
    note: str | None = None

    def apply(self, path: Path, label_map: LabelMap) -> LabelMap:
        """Give the objects of a mask the ids that they have in all masks.

        Args:
            path: the file, for messages.
            label_map: what it holds, read alone.

        Raises:
            InputError: it holds colours where the others hold ids, or the other way round.
        """
        if not (self.first and label_map.ids):
            return label_map
        if not self.table:
            if label_map.numbered:
                raise InputError("holds colours, and other masks hold ids", where=path, fix=_FIX)
            if label_map.colors == (WHITE,) and not set(self.first) <= {1}:
                listed = ", ".join(map(str, self.first[:3])) + (", ..." if len(self.first) > 3 else "")  # noqa: PLR2004
                what = f"is black and white, and other masks hold the ids {listed}: which object it shows is not known"
                raise InputError(what, where=path, fix="fill the object with its id instead of white")
            return label_map
        if not label_map.colors:
            if self.numbered:
                raise InputError("holds ids, and other masks hold colours", where=path, fix=_FIX)
            return label_map
        shared = [self.table[_known(color, self.table, label_map.colors) or color] for color in label_map.colors]
        ids_of = np.zeros(max(label_map.ids) + 1, np.uint16)
        ids_of[list(label_map.ids)] = shared
        ids_map = ids_of[label_map.ids_map]
        narrow = ids_map if max(shared) >= VOID else ids_map.astype(np.uint8)
        return replace(label_map, ids_map=narrow, ids=tuple(sorted({*shared} - {0})), colors=())


def shared_ids(maps: Iterable[LabelMap]) -> SharedIds:
    """Find out what the values of several masks mean, from the first that holds an object.

    Only where that is of colours are the others looked at.

    Args:
        maps: each as it is read alone; no more of them are taken than are needed.
    """
    rest = iter(maps)
    first = next((label_map for label_map in rest if label_map.ids), None)
    if first is None or first.colors in {(), (WHITE,)}:
        return SharedIds(first.ids if first else ())
    known: dict[Color, None] = dict.fromkeys(first.colors)
    for label_map in rest:
        for color in label_map.colors:
            if _known(color, known, label_map.colors) is None:
                known[color] = None
    colors = sorted(known)
    given = ids_of_colors(np.array(colors, np.int64))
    return SharedIds(first.ids, dict(zip(colors, given.ids.tolist(), strict=True)), given.numbered, given.note)


def _known(color: Color, known: Collection[Color], beside: Collection[Color]) -> Color | None:
    """The known colour that a colour is: itself, or the nearest that the mask does not show beside it."""
    if color in known:
        return color

    def distance(other: Color) -> int:
        return max(abs(a - b) for a, b in zip(color, other, strict=True))

    near = [other for other in known if other not in beside and distance(other) <= _NEAR]
    return min(near, key=distance, default=None)
