"""Large images in overlapping tiles; instances that lie in several tiles are joined.

Shapes: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vossegcli.io.results.rle import cropped_mask
from vossegcli.ops.boxes import overlapping_pairs

Mask = tuple[int, int, npt.NDArray[np.bool_]]  # first row, first column, (h,w) pixels

SEAM_OVERLAP = 0.5  # of the smaller mask, within the area that both tiles show


@dataclass(frozen=True)
class Tile:
    """A part of an image: rows `top` to `bottom` - 1, columns `left` to `right` - 1."""

    top: int
    left: int
    bottom: int
    right: int


def tiles_of(size: tuple[int, int], side: int, overlap: int) -> list[Tile]:
    """Cover an image (H,W) with tiles of a side that overlap by at least `overlap` pixels; one tile if it is small."""
    rows, columns = (_starts(length, side, overlap) for length in size)
    return [
        Tile(top, left, min(top + side, size[0]), min(left + side, size[1])) for top in rows for left in columns
    ]  # fmt: skip


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(k * (length - side) / (count - 1)) for k in range(count)]


def merge_over_seams(rows: Sequence[Sequence[dict[str, Any]]], tiles: Sequence[Tile]) -> list[dict[str, Any]]:
    """Join the COCO results of tiles, with masks in the whole image.

    Two masks of one class from two tiles are the same instance if, within the area that both tiles show, one covers
    at least half of the other; their union takes the better score.

    Args:
        rows: results of each tile.
        tiles: where each lies.

    Returns:
        results, best first.
    """
    flat = [({**row, "tile": number}, tile) for number, tile in enumerate(tiles) for row in rows[number]]
    if not flat:
        return []
    mask = cache(lambda number: cropped_mask(flat[number][0]["segmentation"]))  # its own pixels alone
    same = [(i, j) for i, j in _touching(flat) if _agree(mask(i), mask(j), _overlap(flat[i][1], flat[j][1]))]
    first, second = np.array(same, np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(same)), (first, second)), shape=(len(flat), len(flat)))
    count, numbers = connected_components(links, directed=False)
    groups: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for number, (row, _) in zip(numbers, flat, strict=True):
        groups[number].append(row)
    return sorted((_united(group) for group in groups), key=lambda row: -row["score"])


def _touching(flat: Sequence[tuple[dict[str, Any], Tile]]) -> Iterator[tuple[int, int]]:
    """Pairs of results of different tiles and one class whose boxes overlap."""
    boxes = np.array([row["bbox"] for row, _ in flat], np.float64)
    for one, other in overlapping_pairs(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])).tolist():
        a, b = flat[one][0], flat[other][0]
        if a["tile"] != b["tile"] and a["category_id"] == b["category_id"]:
            yield one, other


def _agree(a: Mask, b: Mask, common: Tile) -> bool:
    """Say whether two masks are one instance, by the area that both tiles show."""
    smaller = min(int(_part(a, common).sum()), int(_part(b, common).sum()))
    both = _overlap(common, _extent(a), _extent(b))
    return smaller > 0 and int((_part(a, both) & _part(b, both)).sum()) >= SEAM_OVERLAP * smaller


def _overlap(*tiles: Tile) -> Tile:
    """The area that all tiles share; empty where there is none."""
    top, left = max(tile.top for tile in tiles), max(tile.left for tile in tiles)
    bottom, right = min(tile.bottom for tile in tiles), min(tile.right for tile in tiles)
    return Tile(top, left, max(top, bottom), max(left, right))


def _extent(mask: Mask) -> Tile:
    """The area of a cropped mask."""
    top, left, region = mask
    return Tile(top, left, top + region.shape[0], left + region.shape[1])


def _part(mask: Mask, tile: Tile) -> npt.NDArray[np.bool_]:
    """The part of a cropped mask that lies in a tile."""
    top, left, region = mask
    return region[
        max(tile.top - top, 0) : max(tile.bottom - top, 0), max(tile.left - left, 0) : max(tile.right - left, 0)
    ]


def _united(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    best = max(group, key=lambda row: row["score"])
    rle = best["segmentation"]
    if len(group) > 1:
        rle = coco_mask.merge([row["segmentation"] for row in group])
        rle = {"size": list(rle["size"]), "counts": rle["counts"].decode()}
    box = [round(float(value), 2) for value in coco_mask.toBbox(rle)] if len(group) > 1 else best["bbox"]
    return {**{k: v for k, v in best.items() if k != "tile"}, "bbox": box, "segmentation": rle}
