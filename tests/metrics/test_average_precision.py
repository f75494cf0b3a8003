"""AP of instances and masklets against the official tools' stored numbers, and where those tools stop.

Covers: metrics.instance, metrics.track
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from vossegcli.metrics.instance import boundary_region, instance_precision
from vossegcli.metrics.track import masklet_iou, track_precision


def rle(mask: np.ndarray) -> dict[str, Any]:
    return dict(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "iou", "ratio"),
    [
        ("segm", "segm", 0.02),
        ("bbox", "bbox", 0.02),
        ("boundary_0.02", "boundary", 0.02),
        ("boundary_0.008", "boundary", 0.008),
    ],
)
def test_numbers_of_the_coco_tools(shared: Path, name: str, iou: str, ratio: float) -> None:
    folder = shared / "fixtures" / "coco"
    expected = json.loads((folder / "expected.json").read_text())[name]
    truth, results = (json.loads((folder / expected[key]).read_text()) for key in ("gt", "dt"))
    found = instance_precision(truth, results, iou, dilation_ratio=ratio)
    assert found.numbers == pytest.approx(expected["stats"], abs=1e-9)
    by_id = {str(row.category): row.ap for row in found.per_class}
    assert by_id == pytest.approx(expected.get("AP_per_category_id", by_id), abs=1e-9)
    assert np.mean(found.precisions) == pytest.approx(found.numbers["AP"])


@pytest.mark.shared
def test_numbers_of_ytvoseval(shared: Path) -> None:
    folder = shared / "fixtures" / "ytvis"
    expected = json.loads((folder / "expected.json").read_text())
    truth, results = (json.loads((folder / name).read_text()) for name in ("gt.json", "dt.json"))
    found = track_precision(truth, results)
    assert found.numbers == pytest.approx(expected["stats"], abs=1e-9)
    by_id = {str(row.category): row.ap for row in found.per_class}
    assert by_id == pytest.approx(expected["AP_per_category_id"], abs=1e-9)


def many_dots(count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An image with `count` objects of one class, and a perfect result for each."""
    annotations, results = [], []
    for i in range(count):
        mask = np.zeros((40, 40), bool)
        mask[i // 20 * 2, i % 20 * 2] = True
        shared_by_both = {"image_id": 1, "category_id": 1, "segmentation": rle(mask)}
        annotations.append({"id": i + 1, "iscrowd": 0, "area": 1.0, "bbox": [0, 0, 1, 1]} | shared_by_both)
        results.append({"score": 1.0 - i / 1000} | shared_by_both)
    images = [{"id": 1, "height": 40, "width": 40}]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dot"}]}, results


def test_more_than_a_hundred_results_count_when_asked_for() -> None:
    truth, results = many_dots(150)
    assert instance_precision(truth, results, "segm").numbers["AR100"] == pytest.approx(100 / 150)
    more = instance_precision(truth, results, "segm", max_dets=300).numbers
    assert more["AR300"] == 1.0
    assert more["AP"] == 1.0
    assert more["APs"] == 1.0


def test_no_results_score_zero() -> None:
    truth, _ = many_dots(3)
    numbers = instance_precision(truth, [], "segm").numbers
    assert (numbers["AP"], numbers["AR100"], numbers["APl"]) == (0.0, 0.0, -1.0)


def test_boundary_region_by_hand() -> None:
    mask = np.ones((7, 7), np.uint8)
    assert boundary_region(mask).sum() == 24, "one pixel wide, the border of the image is outline"


def test_masklets_by_hand() -> None:
    one, two = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    one[0, :2] = True
    two[0, 1:3] = True
    assert masklet_iou([rle(one), rle(one)], [rle(two), None]) == 1 / 5
    assert masklet_iou([rle(one)], [rle(one), rle(two)]) == 2 / 4, "frames that one side lacks count"
    assert masklet_iou([None], [None]) == 0.0
