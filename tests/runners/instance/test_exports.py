"""Instances for annotation tools: what a person would correct and train on is what was found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tests.io.datasets.drawn import HEIGHT, WIDTH, box, rle
from vossegcli.batch.image_batches import ImageItem
from vossegcli.io.datasets.annotations import read_annotated_images
from vossegcli.io.media.queries import Query
from vossegcli.io.media.reading import Reading
from vossegcli.io.records.run_records import append_jsonl
from vossegcli.runners.instance.exports import export_image, export_images

ROWS: list[Mapping[str, Any]] = [
    {"class": "cat", "score": 0.9, "segmentation": rle(box(1)), "drawn": True},
    {"class": "dog", "score": 0.4, "segmentation": rle(box(2)), "drawn": True},
    {"class": "dog", "score": 0.1, "segmentation": rle(box(1)), "drawn": False},
]


def item(tmp_path: Path, name: str) -> ImageItem:
    path = tmp_path / "images" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    return ImageItem(name=name, frames=1, key="k", output=tmp_path / "out", query=Query(name, path, False))


def test_files_of_tools_read_back_as_training_data(tmp_path: Path) -> None:
    items = [item(tmp_path, name) for name in ("a", "deep/b")]
    for one in items:
        append_jsonl(one.state.rows, *ROWS)
        written = export_image(one, (HEIGHT, WIDTH), ROWS[:2], ("labelme", "geojson"), ("cat", "dog"))
        assert [path.suffix for path in written] == [".json", ".geojson"]
    ids = {"a": 31, "not done": 32, "deep/b": 33}
    export_images(tmp_path / "out", items, ("coco", "cvat"), {"cat": 4, "dog": 7}, ids, Reading())
    assert [image["id"] for image in json.loads((tmp_path / "out" / "coco.json").read_text())["images"]] == [31, 33]
    for kind in ("labelme", "coco.json", "cvat.xml"):
        found = read_annotated_images(tmp_path / "out" / kind, tmp_path / "images").images
        assert [image.path for image in found] == [one.query.path for one in items], kind
        for image in found:
            assert dict(zip(image.names, image.segmentations, strict=True)) == {"cat": rle(box(1)), "dog": rle(box(2))}
    coco = read_annotated_images(tmp_path / "out" / "coco.json", tmp_path / "images").images
    assert sorted(coco[0].categories) == [4, 7]


def test_files_that_nobody_asked_for_any_more_are_removed(tmp_path: Path) -> None:
    one = item(tmp_path, "a")
    append_jsonl(one.state.rows, *ROWS)
    export_images(tmp_path / "out", [one], ("coco", "cvat"), {"cat": 1, "dog": 2}, {"a": 1}, Reading())
    export_images(tmp_path / "out", [one], ("cvat",), {"cat": 1, "dog": 2}, {"a": 1}, Reading())
    assert not (tmp_path / "out" / "coco.json").exists()
    assert (tmp_path / "out" / "cvat.xml").exists()


def test_images_that_have_gone_keep_what_was_found_in_them(tmp_path: Path) -> None:
    found, empty = (item(tmp_path, name) for name in ("found", "empty"))
    append_jsonl(found.state.rows, *ROWS)
    found.query.path.unlink()
    words = (("coco", "cvat"), {"cat": 1, "dog": 2}, {"found": 1, "empty": 2}, Reading())
    assert export_images(tmp_path / "out", [found, empty], *words) == []
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [(one["id"], one["height"], one["width"]) for one in coco["images"]] == [
        (1, HEIGHT, WIDTH),
        (2, HEIGHT, WIDTH),
    ]
    empty.query.path.unlink()
    (note,) = export_images(tmp_path / "out", [found, empty], *words)
    assert "left out" in note
    assert str(empty.query.path) in note
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [one["id"] for one in coco["images"]] == [1]
    assert len(coco["annotations"]) == 2
    assert "found.png" in (tmp_path / "out" / "cvat.xml").read_text()
