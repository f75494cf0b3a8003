"""Large images in overlapping tiles; instances that lie in several tiles are joined.

Shapes: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

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


def merge_over_seams(
    rows: Sequence[Sequence[dict[str, Any]]], tiles: Sequence[Tile], score_threshold: float = 0.0
) -> list[dict[str, Any]]:
    """Join the COCO results of tiles, with masks in the whole image.

    Two masks of one class from two tiles can be the same instance if, within the area that both tiles show, one covers
    at least half of the other. Those that agree best are joined first, and never two of one tile, for these are two
    instances. The union takes the better score.

    Args:
        rows: results of each tile.
        tiles: where each lies.
        score_threshold: results from this score on are not joined with weaker ones, whose masks nobody would draw.

    Returns:
        results, best first.
    """
    flat = [({**row, "tile": number}, tile) for number, tile in enumerate(tiles) for row in rows[number]]
    if not flat:
        return []
    mask = cache(lambda number: cropped_mask(flat[number][0]["segmentation"]))  # its own pixels alone
    alike = [
        (agreement, i, j)
        for i, j in _touching(flat, score_threshold)
        if (agreement := _agreement(mask(i), mask(j), _overlap(flat[i][1], flat[j][1])))
    ]
    groups: dict[int, list[dict[str, Any]]] = {}
    for number, (row, _) in zip(_joined(alike, [row["tile"] for row, _ in flat]), flat, strict=True):
        groups.setdefault(number, []).append(row)
    return sorted(map(_united, groups.values()), key=lambda row: -row["score"])


def _joined(alike: Iterable[tuple[float, int, int]], tiles: Sequence[int]) -> list[int]:
    """Join results, those that agree best first, without two of one tile.

    Args:
        alike: agreement and numbers of two results that can be the same.
        tiles: of the results.

    Returns:
        For each result the number of its instance, which is that of one of its results.
    """
    owners = list(range(len(tiles)))
    members = [[number] for number in owners]
    for _, one, other in sorted(alike, key=lambda pair: -pair[0]):
        first, second = owners[one], owners[other]
        shown = {tiles[number] for number in members[first]}
        if first != second and shown.isdisjoint(tiles[number] for number in members[second]):
            for number in members[second]:
                owners[number] = first
            members[first] += members[second]
    return owners


def _touching(flat: Sequence[tuple[dict[str, Any], Tile]], score_threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of results of different tiles and one class whose boxes overlap, both above the threshold or none."""
    boxes = np.array([row["bbox"] for row, _ in flat], np.float64)
    for one, other in overlapping_pairs(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])).tolist():
        a, b = flat[one][0], flat[other][0]
        is_alike = a["category_id"] == b["category_id"]
        is_alike &= (a["score"] >= score_threshold) == (b["score"] >= score_threshold)
        if a["tile"] != b["tile"] and is_alike:
            yield one, other


def _agreement(a: Mask, b: Mask, common: Tile) -> float:
    """IoU of two masks within the area that both tiles show; 0 where they are not one instance."""
    areas = int(_part(a, common).sum()), int(_part(b, common).sum())
    both = _overlap(common, _extent(a), _extent(b))
    shared = int((_part(a, both) & _part(b, both)).sum())
    return shared / (sum(areas) - shared) if shared and shared >= SEAM_OVERLAP * min(areas) else 0.0


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
