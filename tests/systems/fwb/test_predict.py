"""The FWB predictor: what it needs of supports, what it gives, and that weighting and boosting do what they are for.

Covers: systems.fwb.backbones, systems.fwb.config, systems.fwb.model, systems.fwb.supports
"""

import pytest
import torch
from torch import Tensor

from vossegcli.errors import InputError
from vossegcli.systems.fwb.config import RESNET101, VGG16, FWBConfig
from vossegcli.systems.fwb.feature_weighting import (
    Levels,
    class_average,
    class_difference,
    relevance,
    similarity_maps,
    support_levels,
)
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.fwb.supports import stack_supports

TINY = FWBConfig("compact", stem=8, planes=(8, 8, 16, 16), depths=(1, 1, 1, 1), head_channels=16)


@pytest.fixture(scope="module")
def network() -> FWB:
    torch.manual_seed(0)
    return FWB(TINY).eval()


def picture(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A red square on green noise, and its mask."""
    generator = torch.Generator().manual_seed(seed)
    image = 0.3 * torch.rand(3, height, width, generator=generator)
    image[1] += 0.5
    mask = torch.zeros(height, width, dtype=torch.int64)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 3
    image[:, mask > 0] = torch.tensor([0.9, 0.1, 0.1]).unsqueeze(1)
    return image, mask


@pytest.mark.parametrize("config", [VGG16, RESNET101, TINY], ids=lambda c: c.backbone)
def test_backbones_have_stride_8(config: FWBConfig) -> None:
    with torch.device("meta"), torch.inference_mode():  # shapes without numbers
        network = FWB(config).eval()
        assert network.encode(torch.rand(1, 3, 64, 96)).shape == (1, network.channels, 8, 12)


def test_the_head_is_one_convolution_over_features_and_map(network: FWB) -> None:
    """Computed in two shares, so that the features' one is there for all experts."""
    features, maps = torch.randn(2, network.channels, 5, 6), torch.randn(2, 3, 5, 6)
    found = network.head(network.head_base(features), maps, Levels(torch.zeros(1, 3), torch.ones(1, 3)))
    for n in range(3):
        joined = torch.cat([features, maps[:, n : n + 1]], dim=1)
        wanted = network.classify(torch.relu(network.join(joined)))
        assert torch.allclose(found[:, n], wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 56), (33, 71), (130, 90)])
def test_results_have_the_size_of_the_query(network: FWB, size: tuple[int, int]) -> None:
    predictor = FWBPredictor(network)
    for seed in (0, 1):
        image, mask = picture(48, 64, seed)
        iou = predictor.fit([image], [mask])
        assert 0.0 <= iou <= 1.0
    (found,) = predictor.predict(torch.rand(1, 3, *size))
    assert found.label_map.shape == size
    assert found.probs.shape == (2, *size)
    assert found.confidence.shape == (2,)
    assert 0.0 <= float(found.probs.min()) <= float(found.probs.max()) <= 1.0


def test_supports_may_differ_in_size(network: FWB) -> None:
    images, masks = zip(picture(48, 64), picture(80, 30), strict=True)
    predictor = FWBPredictor(network)
    predictor.fit(images, masks)
    predictor.predict(images[0].unsqueeze(0))


def test_what_lies_beyond_a_smaller_support_counts_for_nothing(network: FWB) -> None:
    def encode(images: Tensor) -> Tensor:
        with torch.no_grad():
            return network.encode(images)

    images, masks = zip(picture(48, 64), picture(83, 30), strict=True)
    both = stack_supports(images, masks, encode, None, torch.device("cpu"))
    assert both.features.shape == (2, network.channels, 11, 8)
    assert both.truth.shape == (2, 88, 64)
    for k in range(2):
        alone = stack_supports(images[k : k + 1], masks[k : k + 1], encode, None, torch.device("cpu"))
        for part in ("inside", "outside"):
            average = class_average(both.features, getattr(both, part))[k]
            assert torch.allclose(average, class_average(alone.features, getattr(alone, part))[0], atol=1e-5), part
        assert int((both.truth[k] == 1).sum()) == int((masks[k] > 0).sum())
        assert int((both.truth[k] != 255).sum()) == masks[k].numel()


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ([], [], "0 support images"),
        ([torch.rand(3, 8, 8)], [], "1 support images and 0 masks"),
        ([torch.rand(3, 8, 8)], [torch.zeros(8, 8)], "support 1 is empty"),
        ([torch.rand(3, 8, 8)], [torch.ones(8, 8)], "support 1 is full"),
        ([torch.rand(3, 8, 8)], [torch.ones(4, 8)], r"support 1 is \(4, 8\)"),
    ],
)
def test_bad_supports_are_named(network: FWB, images: list[Tensor], masks: list[Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FWBPredictor(network).fit(images, masks)


def test_a_batch_gives_what_its_images_give_alone(network: FWB) -> None:
    predictor = FWBPredictor(network)
    for seed in (0, 1):
        image, mask = picture(48, 64, seed)
        predictor.fit([image], [mask])
    images = torch.stack([picture(50, 71, seed)[0] for seed in range(3)])
    for together, image in zip(predictor.predict(images), images, strict=True):
        (alone,) = predictor.predict(image.unsqueeze(0))
        assert torch.allclose(together.probs, alone.probs, atol=1e-5)
        assert torch.allclose(together.confidence, alone.confidence, atol=1e-4)


def test_the_same_supports_give_the_same_masks(network: FWB) -> None:
    image, mask = picture(48, 64)
    found = []
    for _ in range(2):
        predictor = FWBPredictor(network)
        predictor.fit([image], [mask])
        found.append(predictor.predict(image.unsqueeze(0))[0].probs)
    assert torch.equal(*found)


def test_training_on_one_pair_makes_the_class_found() -> None:
    """The head learns to read the map; weighting and boosting then find the class in another picture."""
    torch.manual_seed(0)
    network = FWB(TINY).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    pairs = [picture(64, 64, seed) for seed in range(4)]
    images, masks = torch.stack([p[0] for p in pairs]), torch.stack([(p[1] > 0).float() for p in pairs])
    cells = torch.nn.functional.avg_pool2d(masks[:, None], 8)[:, 0]
    for _ in range(60):
        features = network.encode(images)
        prototype = class_average(features[:1], cells[:1]).unsqueeze(0)
        weights = relevance(class_difference(features[:1], cells[:1])).view(1, 1, -1)
        maps = similarity_maps(prototype, weights, features)
        levels = support_levels(maps[:1], cells[:1], 1.0 - cells[:1])
        logits = network.head(network.head_base(features), maps, levels)[1:, 0]
        loss = torch.nn.functional.cross_entropy(logits, (cells[1:] > 0.5).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    predictor = FWBPredictor(network, short_side=0)
    assert predictor.fit([pairs[0][0]], [pairs[0][1]]) > 0.3
    query, truth = picture(64, 64, 9)
    (found,) = predictor.predict(query.unsqueeze(0))
    overlap = ((found.label_map == 1) & (truth > 0)).sum() / ((found.label_map == 1) | (truth > 0)).sum()
    assert overlap > 0.3
    (nothing,) = predictor.predict(torch.full((1, 3, 64, 64), 0.5))
    assert nothing.confidence[0] < found.confidence[0]
