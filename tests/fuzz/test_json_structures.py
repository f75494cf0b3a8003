"""JSON of any structure where annotations and results are expected: a value or a typed error."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vossegcli.errors import VossegError
from vossegcli.io.datasets.annotations import read_coco_categories, read_coco_instances
from vossegcli.io.datasets.coco_results import read_instance_truth, read_results, read_track_truth
from vossegcli.io.media.queries import find_queries
from vossegcli.io.records.json_files import find_run_record, read_report

CASES = 1500

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 40), st.sampled_from([0, 1, 2, 10**6, 2**63, -1, 1e308]),
    st.floats(), st.text(max_size=4), st.sampled_from(["1", "a.png", "../a.png", "/etc/a.png", "x" * 300, "\x00"]),
)  # fmt: skip
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def _mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Good values, so that what lies deeper is reached, and now and then anything."""
    return st.one_of(good, good, good, good, values)


def _record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with these fields, some of them missing."""
    return _mostly(st.fixed_dictionaries({}, optional={name: _mostly(field) for name, field in fields.items()}))


numbers = st.integers(0, 3)
runs = st.lists(st.integers(-2, 400), max_size=6)
counts = st.one_of(st.text(alphabet="0123456789PQRSTabcdefgh`\\", max_size=12), runs)
rle = _record(size=st.just([8, 9]), counts=counts)
polygons = _mostly(st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=8), max_size=2))
segmentation = st.one_of(rle, polygons)
box = st.lists(st.floats(-5, 12), min_size=4, max_size=4)
image = _record(id=numbers, file_name=st.sampled_from(["a.png", "b/c.png"]), height=st.just(8), width=st.just(9))
video = _record(
    id=numbers, file_names=st.lists(st.just("a.png"), max_size=3), height=st.just(8), width=st.just(9),
    length=st.integers(0, 3),
)  # fmt: skip
common = {"id": numbers, "category_id": numbers, "iscrowd": st.integers(0, 1), "score": st.floats(0, 1)}
annotation = _record(image_id=numbers, segmentation=segmentation, bbox=box, area=st.floats(0, 90), **common)
masklet = _record(
    video_id=numbers, segmentations=st.lists(st.one_of(st.none(), rle), max_size=3), areas=st.lists(numbers), **common
)
category = _record(id=numbers, name=st.text(max_size=5))
coco = _record(
    images=st.lists(image, max_size=3), annotations=st.lists(annotation, max_size=3),
    categories=st.lists(category, max_size=2),
)  # fmt: skip
ytvis = _record(
    videos=st.lists(video, max_size=3), annotations=st.lists(masklet, max_size=3),
    categories=st.lists(category, max_size=2),
)  # fmt: skip

GOOD_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 9}],
    "annotations": [],
    "categories": [{"id": 1, "name": "a"}],
}
GOOD_YTVIS = {
    "videos": [{"id": 1, "file_names": ["a.png"], "height": 8, "width": 9, "length": 1}],
    "annotations": [],
    "categories": [{"id": 1, "name": "a"}],
}

fuzzed = settings(max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def _tolerates(read: Any, value: Any, name: str = "x.json") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(json.dumps(value))
        try:
            read(path)
        except VossegError as error:
            assert str(error)


@pytest.mark.slow
@fuzzed
@given(coco)
def test_coco_files(value: Any) -> None:
    for read in (read_coco_instances, read_coco_categories, lambda path: find_queries(str(path))):
        _tolerates(read, value)
    for form in ("segm", "bbox", "boundary"):
        _tolerates(lambda path, form=form: read_instance_truth(path, form), value)


@pytest.mark.slow
@fuzzed
@given(ytvis)
def test_youtube_vis_files(value: Any) -> None:
    _tolerates(read_track_truth, value)


@pytest.mark.slow
@fuzzed
@given(_mostly(st.lists(annotation, max_size=3)))
def test_results_of_instances(value: Any) -> None:
    for form in ("segm", "bbox"):
        _tolerates(lambda path, form=form: read_results(path, "image_id", GOOD_COCO, form), value)


@pytest.mark.slow
@fuzzed
@given(_mostly(st.lists(masklet, max_size=3)))
def test_results_of_tracks(value: Any) -> None:
    _tolerates(lambda path: read_results(path, "video_id", GOOD_YTVIS, "segm"), value)


@pytest.mark.slow
@fuzzed
@given(values)
def test_records_of_runs(value: Any) -> None:
    _tolerates(read_report, value)
    _tolerates(lambda path: find_run_record(path.parent), value, "run.json")
