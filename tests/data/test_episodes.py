"""Episodes: what is drawn, and that a step always draws the same."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vossegcli.data.episodes import EpisodeSpec, EpisodeStream, classes_of, split_classes
from vossegcli.errors import ConfigError
from vossegcli.io.annotations import read_coco_instances
from vossegcli.types import AnnotatedImage

SPEC = EpisodeSpec(batch=3, shots=2, size=64)


@pytest.fixture
def images(discs: Path) -> list[AnnotatedImage]:
    return read_coco_instances(discs)


def test_masks_mark_the_class(images: list[AnnotatedImage]) -> None:
    """The discs are red; each mask must lie on them, in supports and query."""
    episodes = EpisodeStream(classes_of(images), 0, torch.device("cpu")).batch(0, SPEC)
    assert episodes.support_images.shape == (3, 2, 3, 64, 64)
    assert episodes.support_masks.shape == (3, 2, 64, 64)
    assert episodes.query_masks.dtype == torch.int64
    pictures = torch.cat([episodes.support_images.flatten(0, 1), episodes.query_images])
    masks = torch.cat([episodes.support_masks.flatten(0, 1), episodes.query_masks.float()]) > 0
    for picture, mask in zip(pictures, masks, strict=True):
        assert 0.01 <= float(mask.float().mean()) <= 0.85
        assert float(picture[0][mask].median()) == pytest.approx(200 / 255, abs=0.02)


def test_a_step_always_draws_the_same(images: list[AnnotatedImage]) -> None:
    stream = EpisodeStream(classes_of(images), 7, torch.device("cpu"))
    third = list(stream.stream(1, 4, lambda _: SPEC))[1]
    again = EpisodeStream(classes_of(images), 7, torch.device("cpu")).batch(2, SPEC)
    assert torch.equal(third.query_images, again.query_images)
    assert not torch.equal(third.query_images, stream.batch(3, SPEC).query_images)


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
