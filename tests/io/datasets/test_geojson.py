"""GeoJSON of QuPath as masks: what `--save geojson` writes comes back as it was.

Covers: io.datasets.tools.geojson
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Clip, Outcome, draw_video, read_ids, squares
from vossegcli.errors import InputError
from vossegcli.io.datasets.formats import is_annotation, read_annotations
from vossegcli.io.datasets.tools.geojson import is_geojson
from vossegcli.io.results.exports import ExportedShape, shapes_of_ids
from vossegcli.io.results.geojson import write_geojson

Vosseg = Callable[..., Outcome]
SQUARE = {"type": "Polygon", "coordinates": [[[2, 3], [6, 3], [6, 8], [2, 8], [2, 3]]]}


def feature(geometry: object, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_written_is_read_back_exactly(tmp_path: Path, seed: int) -> None:
    """With holes, islands in them, and parts that touch at corners."""
    rng = np.random.default_rng(seed)
    mask = rng.random((30, 40)) < rng.uniform(0.3, 0.8)
    shape = ExportedShape("cell", 7, mask[5:25, 10:35], 10, 5)
    write_geojson(tmp_path / "x.geojson", [shape], ["cell"], (30, 40))
    (image,) = read_annotations(tmp_path).images
    (found,) = image.shapes
    expected = np.zeros((30, 40), bool)
    expected[5:25, 10:35] = mask[5:25, 10:35]
    assert (image.name, image.height, image.width, found.label, found.key) == ("x.png", 30, 40, "cell", 7)
    assert np.array_equal(found.mask(), expected)


def test_files_of_qupath_take_the_size_of_the_image_beside_them(tmp_path: Path) -> None:
    draw_video(tmp_path, 1)
    payload = [
        feature(SQUARE, classification={"name": "nucleus"}),
        feature({"type": "GeometryCollection", "geometries": [SQUARE]}, name="left"),
        feature({"type": "LineString", "coordinates": [[0, 0], [9, 9]]}),
    ]
    file = tmp_path / "00000.geojson"
    file.write_text(json.dumps(payload))
    found = read_annotations(file)
    (image,) = found.images
    assert [(shape.label, shape.key, int(shape.mask().sum())) for shape in image.shapes] == [
        ("nucleus", None, 20),
        ("object", None, 20),
    ]
    assert found.notes == ("left out: 1 feature of GeoJSON without area",)
    file.rename(tmp_path / "other.geojson")
    with pytest.raises(InputError, match=r"other\.geojson: does not say the size of its image.*--images"):
        read_annotations(tmp_path / "other.geojson")


def test_malformed_features_are_listed(tmp_path: Path) -> None:
    bad = [feature(None), feature({"type": "Polygon", "coordinates": [[[0, "x"], [1, 1], [2, 2]]]}), feature(SQUARE)]
    payload = {"type": "FeatureCollection", "image": {"height": 9, "width": 9}, "features": bad}
    (tmp_path / "x.geojson").write_text(json.dumps(payload))
    with pytest.raises(InputError, match="x.geojson, feature 1.*x.geojson, feature 2"):
        read_annotations(tmp_path)


def test_what_is_geojson() -> None:
    assert is_geojson({"type": "FeatureCollection", "features": []}), "an image without objects"
    assert is_geojson(feature(SQUARE))
    assert is_geojson([feature(SQUARE)])
    assert not any(map(is_geojson, ([], {}, {"type": "FeatureCollection"}, [{"type": "other"}], "x", None)))


def test_commands_take_a_folder_of_it_as_masks(vosseg: Vosseg, clip: Clip, checkpoint: Path, tmp_path: Path) -> None:
    ids = squares(0, (1, 7))
    for number in range(2):
        write_geojson(tmp_path / "masks" / f"{number:05d}.geojson", shapes_of_ids(ids, {}), ["object"], ids.shape)
    assert is_annotation(tmp_path / "masks")
    given = ["--checkpoint", checkpoint, "--device", "cpu", "-o", tmp_path / "out"]
    outcome = vosseg("propagate", clip.frames, "--mask", tmp_path / "masks", *given)
    assert outcome.code == 0, outcome.stderr
    assert np.array_equal(read_ids(tmp_path / "out" / "masks" / "clip" / "00000.png"), ids)
    scored = vosseg("evaluate", "vos", tmp_path / "masks", tmp_path / "masks", "--protocol", "all-frames", "--json")
    assert set(scored.json()["per_object"]) == {f"{tmp_path.name}_1", f"{tmp_path.name}_7"}, "called as masks would be"
