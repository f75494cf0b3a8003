"""GeoJSON of instances: polygons cover exactly the pixels of the masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

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


def test_features(tmp_path: Path) -> None:
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    ring[2, 2] = True  # an island in the hole
    shapes = [
        ExportedShape("nucleus", 1, np.ones((2, 3), bool), 10, 20, 0.91234),
        ExportedShape("cell", 2, ring, 100, 50),
        ExportedShape("cell", 3, np.zeros((2, 2), bool), 0, 0),
    ]
    path = write_geojson(tmp_path / "a" / "x.geojson", shapes, ["nucleus", "cell"])
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
