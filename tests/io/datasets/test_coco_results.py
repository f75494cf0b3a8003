"""Truths and results as other tools write them: one reader of ids, degenerate polygons, LVIS, true messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.io.datasets.drawn import HEIGHT, WIDTH, box, polygon, rle
from vossegcli.errors import InputError
from vossegcli.io.datasets.coco_results import read_instance_truth, read_results, read_track_truth
from vossegcli.metrics.instance import instance_precision


def truth(path: Path, *annotations: dict[str, Any], image_id: object = 1, category_id: object = 1, **more: Any) -> Path:
    images = [{"id": image_id, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH, **more}]
    listed = [{"id": k, "image_id": image_id, "category_id": category_id, **a} for k, a in enumerate(annotations, 11)]
    payload = {"images": images, "annotations": listed, "categories": [{"id": category_id, "name": "cat"}]}
    path.write_text(json.dumps(payload))
    return path


def results(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text(json.dumps([{"score": 0.9, "segmentation": rle(box(1)), **row} for row in rows]))
    return path


@pytest.mark.parametrize(("listed", "given"), [("000139", "000139"), (139, "139"), (1.0, 1), (1, 1.0), ("7", 7)])
def test_ids_in_any_spelling_belong_together(tmp_path: Path, listed: object, given: object) -> None:
    path = truth(tmp_path / "t.json", {"segmentation": rle(box(1))}, image_id=listed, category_id="1")
    dataset = read_instance_truth(path, "segm")
    found = read_results(
        results(tmp_path / "r.json", {"image_id": given, "category_id": 1.0}), "image_id", dataset, "segm"
    )
    assert instance_precision(dataset, found, "segm").numbers["AP"] == pytest.approx(1.0)


def test_degenerate_polygons_and_strangers_are_left_out_and_counted(tmp_path: Path) -> None:
    good = [v for point in polygon(box(1)) for v in point]
    path = truth(
        tmp_path / "t.json",
        {"segmentation": [good, [1, 2, 3, 4], []]},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": []},
        {"segmentation": [good], "image_id": 77},
    )
    dataset = read_instance_truth(path, "segm")
    assert len(dataset["annotations"]) == 1
    assert dataset["notes"] == (
        "left out: 1 annotation of images that are not listed",
        "left out: 2 annotations with nothing but degenerate polygons",
    )


def test_all_faults_are_listed_by_id(tmp_path: Path) -> None:
    path = truth(
        tmp_path / "t.json",
        {"segmentation": {"size": [3, 3], "counts": [9]}},
        {"segmentation": rle(box(1)), "category_id": 5},
        {"segmentation": rle(box(1))},
        {"bbox": [1, 2, 3, 4]},
    )
    with pytest.raises(InputError, match=r"annotation 12: .*annotation 11: .*annotation 14: ") as caught:
        read_instance_truth(path, "segm")
    assert "annotation 13" not in str(caught.value)


@pytest.mark.parametrize("field", ["neg_category_ids", "not_exhaustive_category_ids"])
def test_lvis_is_refused_by_name(tmp_path: Path, field: str) -> None:
    path = truth(tmp_path / "t.json", {"segmentation": rle(box(1))}, **{field: [3]})
    with pytest.raises(InputError, match="LVIS"):
        read_instance_truth(path, "segm")


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = truth(tmp_path / "t.json", {"segmentation": rle(box(1))})
    for prefix, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le")):
        (tmp_path / "b.json").write_bytes(prefix + path.read_text().encode(encoding))
        assert len(read_instance_truth(tmp_path / "b.json", "segm")["annotations"]) == 1


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"images": {}, "annotations": [], "categories": []}, "has 'images', which is no list"),
        ({"annotations": [], "categories": []}, "has no list 'images'"),
        ({"images": [{"file_name": "a"}], "annotations": [], "categories": []}, "entry 0 of 'images': the id None"),
        ({"images": [{"id": 1}, {"id": 1.0}], "annotations": [], "categories": []}, "the id 1 is given twice"),
        ({"images": [], "annotations": [], "categories": [{"id": "x", "name": "a"}]}, "no whole number"),
    ],
)
def test_messages_say_what_is_there(tmp_path: Path, payload: dict[str, Any], message: str) -> None:
    (tmp_path / "t.json").write_text(json.dumps(payload))
    with pytest.raises(InputError, match=message):
        read_instance_truth(tmp_path / "t.json", "segm")


def test_track_truths_have_the_same_ids(tmp_path: Path) -> None:
    payload = {
        "videos": [{"id": "0012", "height": HEIGHT, "width": WIDTH, "file_names": ["a/0.jpg"]}],
        "annotations": [{"id": 1, "video_id": "0012", "category_id": "1", "segmentations": [rle(box(1))]},
                        {"id": 2, "video_id": 5, "category_id": 1, "segmentations": [None]}],
        "categories": [{"id": 1, "name": "cat"}],
    }  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(payload))
    found = read_track_truth(tmp_path / "t.json")
    assert [(a["video_id"], a["category_id"]) for a in found["annotations"]] == [("0012", 1)]
    assert found["notes"] == ("left out: 1 annotation of videos that are not listed",)


def test_a_size_in_any_spelling(tmp_path: Path) -> None:
    path = truth(tmp_path / "t.json", {"segmentation": rle(box(1))}, height=str(HEIGHT), width=float(WIDTH))
    assert len(read_instance_truth(path, "segm")["annotations"]) == 1


@pytest.mark.parametrize("name", ["a", "a.jpg", "images/a.jpg", "/home/me/val/a.jpg", "D:\\val\\a.jpg"])
def test_results_that_name_files(tmp_path: Path, name: str) -> None:
    """Ultralytics writes the stem where it is no number; the same rule for all, only where no id is listed."""
    dataset = read_instance_truth(
        truth(tmp_path / "t.json", {"segmentation": rle(box(1))}, file_name="images\\a.jpg", image_id=17), "segm"
    )
    row = {"image_id": name, "category_id": 1}
    (found,) = read_results(results(tmp_path / "r.json", row), "image_id", dataset, "segm")
    assert found["image_id"] == 17
    with pytest.raises(InputError, match="which the ground truth does not list"):
        read_results(results(tmp_path / "r.json", row, {**row, "image_id": 17}), "image_id", dataset, "segm")


def test_boxes_without_masks_are_left_out_or_refused(tmp_path: Path) -> None:
    mixed = ({"segmentation": rle(box(1))}, {"segmentation": None, "bbox": [1, 2, 3, 4]})
    dataset = read_instance_truth(truth(tmp_path / "t.json", *mixed), "segm")
    assert len(dataset["annotations"]) == 1
    assert "left out: 1 annotation without mask" in dataset["notes"]
    for nothing in (None, []):
        path = truth(tmp_path / "t.json", {"segmentation": nothing, "bbox": [1, 2, 3, 4]})
        with pytest.raises(InputError, match="none of them has a mask"):
            read_instance_truth(path, "segm")
        assert len(read_instance_truth(path, "bbox")["annotations"]) == 1
