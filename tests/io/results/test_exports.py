"""Out to the tools and back: every pixel and every id, for any shape.

Covers: io.results.outlines
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from vossegcli.io.datasets.formats import read_annotations
from vossegcli.io.datasets.label_map_folders import write_label_maps
from vossegcli.io.masks.label_maps import read_written_ids
from vossegcli.io.results.exports import (
    KINDS,
    ExportedImage,
    shape_of_rle,
    shapes_of_ids,
    write_coco,
    write_cvat,
    write_labelme,
)
from vossegcli.io.results.outlines import outline_of, parts_of
from vossegcli.io.results.rle import region_rle


def blobs(seed: int, objects: int, smooth: float = 2.0) -> np.ndarray:
    """Ragged objects with holes, islands and single pixels (40,56)."""
    rng = np.random.default_rng(seed)
    fields = np.stack([ndimage.gaussian_filter(rng.normal(size=(40, 56)), smooth) for _ in range(objects + 1)])
    return fields.argmax(axis=0).astype(np.uint16)


def exported(folder: Path, kind: str, frames: dict[str, np.ndarray], names: dict[int, str]) -> Path:
    images = [
        ExportedImage(f"clip/{name}.jpg", None, *ids_map.shape, shapes_of_ids(ids_map, names))
        for name, ids_map in frames.items()
    ]
    if kind == "labelme":
        assert len(list(write_labelme(folder / "labelme", images))) == len(frames)
        return folder / "labelme"
    return write_coco(folder / "clip.json", images) if kind == "coco" else write_cvat(folder / "clip.xml", images)


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_keeps_every_pixel_and_id(tmp_path: Path, kind: str) -> None:
    ids = np.array([0, 3, 7, 300, 65535], np.uint16)
    frames = {f"{k:05d}": ids[blobs(k, 4)] for k in range(3)}
    frames["00003"] = np.where(blobs(9, 4) == 2, 7, 0)
    frames["00004"] = np.zeros((40, 56), np.uint16)
    path = exported(tmp_path, kind, frames, {3: "cat & <dog>", 7: "ü"})
    written = write_label_maps(read_annotations(path), tmp_path / "back")
    for name, ids_map in frames.items():
        assert np.array_equal(read_written_ids(written.folder / "clip" / f"{name}.png"), ids_map), name
    classes = json.loads((written.folder / "clip" / "classes.json").read_text())
    assert classes == {"3": "cat & <dog>", "7": "ü", "300": "300", "65535": "65535"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.3, 4.0))
def test_an_outline_drawn_again_is_the_part(seed: int, smooth: float) -> None:
    for part, _, _ in parts_of(blobs(seed, 1, smooth) > 0):
        filled = ndimage.binary_fill_holes(part)
        points = outline_of(filled)
        canvas = Image.new("1", filled.shape[::-1])
        draw = ImageDraw.Draw(canvas)
        if len(points) == 1:
            draw.point(points, fill=1)
        else:
            draw.polygon(points, fill=1, outline=1)
        assert np.array_equal(np.array(canvas), filled)


def test_polygons_for_labelme_have_corners_only(tmp_path: Path) -> None:
    ids_map = np.zeros((30, 40), np.uint8)
    ids_map[5:20, 10:30] = 4
    (path,) = write_labelme(
        tmp_path, [ExportedImage("a.png", tmp_path / "x" / "a.png", 30, 40, shapes_of_ids(ids_map, {}))]
    )
    payload = json.loads(path.read_text())
    (shape,) = payload["shapes"]
    assert shape["shape_type"] == "polygon"
    assert sorted(shape["points"]) == [[10, 5], [10, 19], [29, 5], [29, 19]]
    assert (shape["label"], shape["group_id"], payload["imagePath"]) == ("4", 4, "x/a.png")


def test_instances_keep_class_ids_and_scores(tmp_path: Path) -> None:
    mask = blobs(1, 2) == 1
    rle = region_rle(mask, 0, 0, 40, 56)
    image = ExportedImage("a.jpg", None, 40, 56, (shape_of_rle("dog", 1, rle, 0.75),))
    payload = json.loads(write_coco(tmp_path / "c.json", [image], {"cat": 3, "dog": 8}).read_text())
    (annotation,) = payload["annotations"]
    assert (annotation["category_id"], annotation["score"], annotation["area"]) == (8, 0.75, int(mask.sum()))
    found = read_annotations(tmp_path / "c.json")
    assert np.array_equal(found.images[0].shapes[0].mask(), mask)
