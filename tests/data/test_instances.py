"""Samples with instances: ids, boxes and labels agree, steps can be repeated, small and missing things are handled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from vossegcli.data.instances import (
    InstanceSpec,
    InstanceStream,
    boundary_distance,
    boxes_of_ids,
    ids_map_of,
)
from vossegcli.errors import ConfigError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.types import AnnotatedImage

SPEC = InstanceSpec(batch=4, size=64, short_side=64, turns=True)
CPU = torch.device("cpu")


@pytest.fixture
def images(discs: Path) -> list[AnnotatedImage]:
    return read_coco_instances(discs)


def labels_of(images: list[AnnotatedImage]) -> dict[str, int]:
    return {name: k for k, name in enumerate(dict.fromkeys(name for image in images for name in image.names))}


def test_partly_annotated_sets_are_believed_inside_their_boxes(images: list[AnnotatedImage]) -> None:
    other = [replace(image, dataset="other") for image in images]
    both = [*images, *other]
    stream = InstanceStream(both, labels_of(images), 0, CPU, partly_annotated=("other",))
    seen = set()
    for step in range(4):
        batch = stream.batch(step, SPEC)
        assert batch.annotated is not None
        for area, boxes in zip(batch.annotated, batch.boxes, strict=True):
            inside = torch.zeros(64, 64, dtype=torch.bool)
            for left, top, right, bottom in boxes.int().tolist():
                inside[top:bottom, left:right] = True
            assert bool(area.all()) or torch.equal(area, inside)
            seen.add(bool(area.all()))
    assert seen == {True, False}
    assert InstanceStream(both, labels_of(images), 0, CPU).batch(0, SPEC).annotated is None
    with pytest.raises(ConfigError, match="no data set is named 'thing'"):
        InstanceStream(both, labels_of(images), 0, CPU, partly_annotated=("thing",))


def test_boxes_and_labels_are_those_of_the_ids(images: list[AnnotatedImage]) -> None:
    batch = InstanceStream(images, labels_of(images), 0, CPU).batch(0, SPEC)
    assert batch.images.shape == (4, 3, 64, 64)
    found = 0
    for ids, boxes, labels, classes in zip(batch.ids, batch.boxes, batch.labels, batch.classes_map, strict=True):
        assert int(ids.max()) == len(boxes) == len(labels)
        assert torch.equal(classes > 0, ids > 0)
        for k, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
            rows, columns = (ids == k + 1).nonzero(as_tuple=True)
            assert (x1, y1, x2, y2) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            found += 1
    assert found >= 4


def test_a_step_always_draws_the_same(images: list[AnnotatedImage]) -> None:
    stream = InstanceStream(images, labels_of(images), 3, CPU)
    third = list(stream.stream(1, 4, lambda _: SPEC))[1]
    again = InstanceStream(images, labels_of(images), 3, CPU, workers=1).batch(2, SPEC)
    assert torch.equal(third.images, again.images)
    assert torch.equal(third.ids, again.ids)


def test_an_image_of_hundreds_of_instances(images: list[AnnotatedImage]) -> None:
    dots = np.zeros((300, 40, 20), np.uint8)
    for k in range(300):
        dots[k, k // 10, k % 10 * 2] = 1
    rles = tuple(coco_mask.encode(np.asfortranarray(dot)) for dot in dots)
    many = replace(images[0], height=40, width=20, segmentations=rles, names=("dot",) * 300)
    assert np.count_nonzero(ids_map_of(many)) == len(np.unique(ids_map_of(many))) - 1 == 300


def test_smaller_instances_lie_on_larger_ones(images: list[AnnotatedImage]) -> None:
    first = images[0]
    whole = coco_mask.encode(np.asfortranarray(np.ones((first.height, first.width), np.uint8)))
    both = replace(first, segmentations=(*first.segmentations, whole), names=(*first.names, "wall"))
    ids = ids_map_of(both)
    assert set(np.unique(ids)) == set(range(1, len(both.segmentations) + 1))


def test_images_without_instances_count(images: list[AnnotatedImage]) -> None:
    empty = [replace(image, segmentations=(), categories=(), names=()) for image in images]
    batch = InstanceStream([*empty * 3, images[0]], labels_of(images), 0, CPU).batch(0, replace(SPEC, batch=8))
    assert 0 in {len(labels) for labels in batch.labels}
    with pytest.raises(ConfigError, match="no training images with instances"):
        InstanceStream(empty, {}, 0, CPU)


def test_distance_by_hand() -> None:
    ids = np.zeros((40, 40), np.int32)
    ids[:, 20:] = 1
    distance = boundary_distance(ids)
    assert distance[5, 20] == 0.0
    assert distance[5, 22] == pytest.approx(0.5)
    assert distance[5, 0] == 1.0
    assert (boundary_distance(np.zeros((8, 8), np.int32)) == 1.0).all()
    assert boxes_of_ids(np.zeros((8, 8), np.int32), 0).shape == (0, 4)
