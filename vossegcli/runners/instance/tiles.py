"""Large images in overlapping tiles; instances that lie in several tiles are joined.

Shapes: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from vossegcli.systems.base import InstancePredictor, Instances

SEAM_OVERLAP = 0.5  # of the smaller mask, within the area that both tiles show


@dataclass(frozen=True)
class Tile:
    """A part of an image: rows `top` to `bottom` - 1, columns `left` to `right` - 1."""

    top: int
    left: int
    bottom: int
    right: int


Found = tuple[Tile, Instances]  # boxes from the tile's corner on


@dataclass(frozen=True)
class TiledPredictor:
    """Finds instances tile by tile, in all images at once.

    Attributes:
        predictor: for a tile.
        side: of the tiles; None = whole images.
        overlap: of the tiles, in pixels.
    """

    predictor: InstancePredictor
    side: int | None
    overlap: int

    def predict(self, images: Tensor) -> list[list[Found]]:
        """Find the instances of images (B,3,H,W), each with its tile."""
        size = (int(images.shape[2]), int(images.shape[3]))
        found: list[list[Found]] = [[] for _ in images]
        for tile in tiles_of(size, self.side or max(size), self.overlap):
            parts = images[:, :, tile.top : tile.bottom, tile.left : tile.right]
            for known, instances in zip(found, self.predictor.predict(parts), strict=True):
                known.append((tile, instances))
        return found


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
    flat = [(row, tile) for number, tile in enumerate(tiles) for row in _numbered(rows[number], number)]
    if not flat:
        return []
    same = [pair for pair in _touching(flat) if _same(flat[pair[0]], flat[pair[1]])]
    first, second = np.array(same, np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(same)), (first, second)), shape=(len(flat), len(flat)))
    count, numbers = connected_components(links, directed=False)
    groups: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for number, (row, _) in zip(numbers, flat, strict=True):
        groups[number].append(row)
    return sorted((_united(group) for group in groups), key=lambda row: -row["score"])


def _numbered(rows: Sequence[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [{**row, "tile": number} for row in rows]


def _touching(flat: Sequence[tuple[dict[str, Any], Tile]]) -> list[tuple[int, int]]:
    """Pairs of results of different tiles and one class whose boxes overlap."""
    boxes = np.array([row["bbox"] for row, _ in flat], np.float64)
    ends = boxes[:, :2] + boxes[:, 2:]
    owner = np.array([row["tile"] for row, _ in flat])
    kind = np.array([row["category_id"] for row, _ in flat])
    pairs = []
    for k in range(len(flat)):
        rest = slice(k + 1, None)
        near = (boxes[rest, :2] < ends[k]).all(axis=1) & (ends[rest] > boxes[k, :2]).all(axis=1)
        found = near & (owner[rest] != owner[k]) & (kind[rest] == kind[k])
        pairs += [(k, k + 1 + int(other)) for other in np.flatnonzero(found)]
    return pairs


def _same(one: tuple[dict[str, Any], Tile], other: tuple[dict[str, Any], Tile]) -> bool:
    """Say whether two masks agree within the area that both tiles show."""
    common = Tile(
        max(one[1].top, other[1].top), max(one[1].left, other[1].left),
        min(one[1].bottom, other[1].bottom), min(one[1].right, other[1].right),
    )  # fmt: skip
    if common.top >= common.bottom or common.left >= common.right:
        return False
    a, b = (_part(row, common) for row, _ in (one, other))
    smaller = min(int(a.sum()), int(b.sum()))
    return smaller > 0 and int((a & b).sum()) >= SEAM_OVERLAP * smaller


def _part(row: dict[str, Any], tile: Tile) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = (
        coco_mask.decode(row["segmentation"])[tile.top : tile.bottom, tile.left : tile.right] > 0
    )
    return mask


def _united(group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    best = max(group, key=lambda row: row["score"])
    rle = best["segmentation"]
    if len(group) > 1:
        rle = coco_mask.merge([row["segmentation"] for row in group])
        rle = {"size": list(rle["size"]), "counts": rle["counts"].decode()}
    box = [round(float(value), 2) for value in coco_mask.toBbox(rle)] if len(group) > 1 else best["bbox"]
    return {**{k: v for k, v in best.items() if k != "tile"}, "bbox": box, "segmentation": rle}
