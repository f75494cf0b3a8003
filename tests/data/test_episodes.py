"""Episodes: what is drawn, and that a step always draws the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from vossegcli.data.episodes import EpisodeSpec, EpisodeStream, classes_of, split_classes
from vossegcli.errors import ConfigError
from vossegcli.io.datasets.annotations import read_coco_instances
from vossegcli.types import AnnotatedImage

SPEC = EpisodeSpec(batch=3, shots=2, size=64, jitter=False)


@pytest.fixture
def images(discs: Path) -> list[AnnotatedImage]:
    return read_coco_instances(discs)


def test_masks_mark_the_class(images: list[AnnotatedImage]) -> None:
    """The discs are red; each mask must lie on them, in every image of a group."""
    episodes = EpisodeStream(classes_of(images), 0, torch.device("cpu")).batch(0, SPEC)
    assert episodes.images.shape == (3, 3, 3, 64, 64)
    assert episodes.masks.shape == episodes.labels.shape == (3, 3, 64, 64)
    for picture, mask in zip(episodes.images.flatten(0, 1), episodes.masks.flatten(0, 1) > 0, strict=True):
        assert 0.01 <= float(mask.float().mean()) <= 0.85
        assert float(picture[0][mask].median()) == pytest.approx(200 / 255, abs=0.02)
    assert torch.equal(episodes.labels == 1, episodes.masks == 1)
    assert set(episodes.labels.unique().tolist()) == {-1, 1}, "the background of the data set, and its one class"


def test_colours_are_changed_for_training(images: list[AnnotatedImage]) -> None:
    stream = EpisodeStream(classes_of(images), 0, torch.device("cpu"))
    plain, jittered = stream.batch(0, SPEC), stream.batch(0, replace(SPEC, jitter=True))
    assert torch.equal(plain.masks, jittered.masks)
    assert not torch.allclose(plain.images, jittered.images, atol=0.02)


def test_no_image_is_its_own_support(images: list[AnnotatedImage]) -> None:
    supports = EpisodeStream(classes_of(images), 0, torch.device("cpu")).batch(0, SPEC).supports
    assert supports.shape == (3, 3, 3)
    assert not supports.diagonal(dim1=1, dim2=2).any()
    assert supports.sum(dim=2).min() >= 1
    assert (supports[:, 0].sum(dim=1) == 2).all(), "the first image has all the others"


def test_smaller_classes_lie_on_larger_ones(images: list[AnnotatedImage]) -> None:
    """Facades contain windows: what a pixel is, is the smaller of the two."""
    discs = images[0]
    whole = coco_mask.encode(np.asfortranarray(np.ones((discs.height, discs.width), np.uint8)))
    with_wall = [replace(i, segmentations=(*i.segmentations, whole), categories=(*i.categories, 9)) for i in images]
    labels = EpisodeStream(classes_of(with_wall), 0, torch.device("cpu")).batch(0, SPEC).labels
    assert set(labels.unique().tolist()) == {1, 2}


def test_a_step_always_draws_the_same(images: list[AnnotatedImage]) -> None:
    stream = EpisodeStream(classes_of(images), 7, torch.device("cpu"))
    third = list(stream.stream(1, 4, lambda _: SPEC))[1]
    again = EpisodeStream(classes_of(images), 7, torch.device("cpu")).batch(2, SPEC)
    assert torch.equal(third.images, again.images)
    assert not torch.equal(third.images, stream.batch(3, SPEC).images)


def test_classes_are_split_whole(images: list[AnnotatedImage]) -> None:
    many = [replace(image, categories=(k, k)) for k in range(60) for image in images]
    training, validation = split_classes(many, 0.3)
    assert not set(training) & set(validation)
    assert 8 <= len(validation) <= 28
    assert len(training) + len(validation) == 60


def test_classes_of_one_source_are_left_out(images: list[AnnotatedImage]) -> None:
    assert classes_of([image for image in images if image.source == "s0"]) == {}
    with pytest.raises(ConfigError, match="no class"):
        EpisodeStream({}, 0, torch.device("cpu"))
