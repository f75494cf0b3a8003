"""Tiles cover an image, and what they cut is made whole again."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from vossegcli.io.results.rle import region_rle
from vossegcli.runners.instance.tiles import Tile, merge_over_seams, tiles_of


@pytest.mark.parametrize(("size", "side", "overlap"), [((100, 90), 64, 16), ((64, 64), 64, 16), ((30, 200), 64, 0)])
def test_tiles_cover_the_image(size: tuple[int, int], side: int, overlap: int) -> None:
    covered = np.zeros(size, np.int32)
    tiles = tiles_of(size, side, overlap)
    for tile in tiles:
        assert tile.bottom - tile.top <= side
        assert tile.right - tile.left <= side
        covered[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert covered.min() >= 1
    assert len({(tile.top, tile.left) for tile in tiles}) == len(tiles)
    lefts = sorted({tile.left for tile in tiles})
    assert all(b - a <= side - overlap for a, b in zip(lefts, lefts[1:], strict=False)), "neighbours overlap enough"


def row(mask: np.ndarray, score: float, category: int = 1) -> dict[str, object]:
    rle = region_rle(mask, 0, 0, *mask.shape)
    return {"image_id": 1, "category_id": category, "score": score, "segmentation": rle,
            "bbox": coco_mask.toBbox(rle).tolist()}  # fmt: skip


def disc(centre: tuple[int, int], radius: int, tile: Tile) -> np.ndarray:
    """What a tile shows of a disc."""
    y, x = np.mgrid[:60, :100]
    mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    seen = np.zeros_like(mask)
    part = np.s_[tile.top : tile.bottom, tile.left : tile.right]
    seen[part] = mask[part]
    return seen


def test_instances_on_a_seam_are_made_whole() -> None:
    tiles = [Tile(0, 0, 60, 60), Tile(0, 40, 60, 100)]
    whole = disc((30, 50), 18, Tile(0, 0, 60, 100))
    found = merge_over_seams(
        [[row(disc((30, 50), 18, tiles[0]), 0.7), row(disc((20, 12), 8, tiles[0]), 0.9)],
         [row(disc((30, 50), 18, tiles[1]), 0.8)]],
        tiles,
    )  # fmt: skip
    assert [result["score"] for result in found] == [0.9, 0.8]
    joined = coco_mask.decode(found[1]["segmentation"]) > 0
    assert np.array_equal(joined, whole)
    assert found[1]["bbox"] == coco_mask.toBbox(found[1]["segmentation"]).tolist()
    assert "tile" not in found[1]


def test_neighbours_and_other_classes_stay_apart() -> None:
    tiles = [Tile(0, 0, 60, 60), Tile(0, 40, 60, 100)]
    beside = [[row(disc((30, 42), 6, tiles[0]), 0.7)], [row(disc((30, 55), 6, tiles[1]), 0.8)]]
    assert len(merge_over_seams(beside, tiles)) == 2, "two discs beside each other in what both tiles see"
    classes = [[row(disc((30, 50), 8, tiles[0]), 0.7)], [row(disc((30, 50), 8, tiles[1]), 0.8, category=2)]]
    assert len(merge_over_seams(classes, tiles)) == 2
    assert merge_over_seams([[], []], tiles) == []


@pytest.mark.parametrize("score", [0.05, 0.75])
def test_a_blob_does_not_join_the_neighbours_that_it_covers(score: float) -> None:
    """A network finds much that is nothing, at low scores and at higher ones."""
    tiles = [Tile(0, 0, 60, 60), Tile(0, 40, 60, 100)]
    whole = Tile(0, 0, 60, 100)
    left, right = (disc((30, x), 4, whole) for x in (45, 55))
    blob = disc((30, 50), 9, whole)
    found = merge_over_seams(
        [[row(left, 0.9), row(right, 0.8)], [row(left, 0.7), row(right, 0.7), row(blob, score)]], tiles, 0.3
    )
    masks = [coco_mask.decode(result["segmentation"]) > 0 for result in found]
    assert [result["score"] for result in found] == [0.9, 0.8, score]
    assert all(np.array_equal(mask, wanted) for mask, wanted in zip(masks, (left, right, blob), strict=True))


def test_what_nobody_would_draw_adds_nothing_to_what_is_drawn() -> None:
    tiles = [Tile(0, 0, 60, 60), Tile(0, 40, 60, 100)]
    cell, blob = disc((30, 50), 5, Tile(0, 0, 60, 100)), disc((30, 53), 9, tiles[1])
    found = merge_over_seams([[row(cell, 0.9)], [row(blob, 0.1)]], tiles, 0.3)
    assert np.array_equal(coco_mask.decode(found[0]["segmentation"]) > 0, cell)
    assert len(merge_over_seams([[row(cell, 0.9)], [row(blob, 0.4)]], tiles, 0.3)) == 1


def test_an_instance_where_four_tiles_meet_is_one() -> None:
    tiles = [Tile(top, left, top + 40, left + 60) for top in (0, 20) for left in (0, 40)]
    found = merge_over_seams([[row(disc((30, 50), 14, tile), 0.5)] for tile in tiles], tiles)
    assert len(found) == 1
    assert np.array_equal(coco_mask.decode(found[0]["segmentation"]) > 0, disc((30, 50), 14, Tile(0, 0, 60, 100)))
