"""GeoJSON of instances: polygons cover exactly the pixels of the masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from vossegcli.io.results.exports import ExportedShape
from vossegcli.io.results.geojson import rings_of, signed_area, write_geojson


def filled(rings: list[list[tuple[int, int]]], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies in an odd number of rings."""
    inside = np.zeros(size, int)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
            if x1 == x2:
                inside[min(y1, y2) : max(y1, y2), x1:] += 1
    return inside % 2 == 1


@pytest.mark.parametrize("seed", range(12))
def test_rings_cover_exactly_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 11)) < rng.uniform(0.3, 0.8)
    rings = rings_of(mask)
    assert np.array_equal(filled(rings, mask.shape), mask)
    assert sum(signed_area(ring) for ring in rings) == mask.sum()  # holes count against


def test_corners_alone_are_kept() -> None:
    assert sorted(rings_of(np.ones((2, 3), bool))[0]) == [(0, 0), (0, 2), (3, 0), (3, 2)]


def test_pixels_that_touch_at_a_corner_are_apart() -> None:
    assert len(rings_of(np.eye(2, dtype=bool))) == 2
    assert len(rings_of(np.eye(2, dtype=bool)[::-1])) == 2


def polygons_of(path: Path) -> list[list[list[tuple[int, int]]]]:
    """The polygons of the only object of a file, each as its rings without the closing corner."""
    (feature,) = json.loads(path.read_text())["features"]
    geometry = feature["geometry"]
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [[[(x, y) for x, y in ring[:-1]] for ring in polygon] for polygon in polygons]


@pytest.mark.parametrize("seed", range(12))
def test_polygons_are_valid_one_for_each_part(tmp_path: Path, seed: int) -> None:
    """No ring passes a corner twice, and a polygon with its holes is a part whose pixels share edges."""
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 11)) < rng.uniform(0.4, 0.8)
    polygons = polygons_of(
        write_geojson(tmp_path / "x.geojson", [ExportedShape("cell", 1, mask, 0, 0)], ["cell"], (64, 64))
    )
    assert all(len(set(ring)) == len(ring) for polygon in polygons for ring in polygon)
    labels, count = ndimage.label(mask)
    parts = sorted((labels == k).tobytes() for k in range(1, count + 1))
    assert sorted(filled(polygon, mask.shape).tobytes() for polygon in polygons) == parts


def test_a_hole_belongs_to_the_smallest_part_around_it(tmp_path: Path) -> None:
    target = np.ones((9, 9), bool)  # a ring, and in its hole a ring with a hole of its own
    target[1:8, 1:8] = False
    target[3:6, 3:6] = True
    target[4, 4] = False
    polygons = polygons_of(
        write_geojson(tmp_path / "x.geojson", [ExportedShape("cell", 1, target, 0, 0)], ["cell"], (64, 64))
    )
    assert sorted(int(filled(polygon, target.shape).sum()) for polygon in polygons) == [8, 32]
    assert [len(polygon) for polygon in polygons] == [2, 2]


def test_features(tmp_path: Path) -> None:
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    ring[2, 2] = True  # an island in the hole
    shapes = [
        ExportedShape("nucleus", 1, np.ones((2, 3), bool), 10, 20, 0.91234),
        ExportedShape("cell", 2, ring, 100, 50),
        ExportedShape("cell", 3, np.zeros((2, 2), bool), 0, 0),
    ]
    path = write_geojson(tmp_path / "a" / "x.geojson", shapes, ["nucleus", "cell"], (64, 64))
    found = json.loads(path.read_text())
    assert found["type"] == "FeatureCollection"
    first, second = found["features"]
    assert first["geometry"]["type"] == "Polygon"
    (outer,) = first["geometry"]["coordinates"]
    assert outer[0] == outer[-1], "rings are closed"
    assert sorted(map(tuple, outer[:-1])) == [(10, 20), (10, 22), (13, 20), (13, 22)]
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["classification"]["name"] == "nucleus"
    assert first["properties"]["measurements"] == {"area": 6, "score": 0.9123}
    assert second["geometry"]["type"] == "MultiPolygon"
    assert sorted(len(polygon) for polygon in second["geometry"]["coordinates"]) == [1, 2]  # the island, and a hole
    colours = {feature["properties"]["classification"]["name"]: feature["properties"]["classification"]["color"]
               for feature in found["features"]}  # fmt: skip
    assert colours["nucleus"] != colours["cell"]
