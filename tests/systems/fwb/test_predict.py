"""The FWB predictor: what it needs of supports, what it gives, and that weighting and boosting do what they are for.

Covers: systems.fwb.backbones, systems.fwb.config, systems.fwb.model, systems.fwb.supports
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vossegcli.errors import ConfigError, InputError
from vossegcli.ops.canvas import shrunk_canvas
from vossegcli.samples import EpisodeSamples
from vossegcli.systems.fwb import SYSTEM
from vossegcli.systems.fwb.backbones import Encoded
from vossegcli.systems.fwb.config import RESNET101, VGG16, FWBConfig
from vossegcli.systems.fwb.feature_weighting import class_average
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor
from vossegcli.systems.fwb.supports import Supports, stack_supports
from vossegcli.training.loop import set_training_mode

TINY = FWBConfig(
    "efficientnet_lite0", projected=8, head_channels=16, prototypes=2, refine_channels=8, steps=3, short_side=64
)


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
        encoded = network.encode(torch.rand(1, 3, 64, 96))
    assert encoded.features.shape == (1, sum(network.groups), 8, 12)
    assert encoded.context.shape == (1, network.context, 8, 12)
    assert encoded.fine.shape == (1, 24 if config is TINY else 0, 16, 24)


def test_published_backbones_give_the_head_what_is_compared() -> None:
    network = FWB(VGG16).eval()
    with torch.inference_mode():
        encoded = network.encode(torch.rand(1, 3, 32, 32))
    assert torch.equal(encoded.features, encoded.context)
    assert network.prior is None
    assert network.refinement is None
    assert network.join.in_channels == 512 + 1
    odds = torch.rand(1, 4, 4)
    assert network.refine(odds, torch.rand(1, 1, 4, 4), encoded) is odds


def test_the_stages_keep_what_imagenet_taught(network: FWB) -> None:
    """Each has unit length in every cell, and only the projection beside them can be trained into something else."""
    with torch.inference_mode():
        features = network.encode(torch.rand(1, 3, 64, 64)).features
    assert network.groups == (40, 112, 320, 8)
    for part in features.split(list(network.groups), dim=1):
        assert torch.allclose(part.norm(dim=1), torch.ones(1, 8, 8), atol=1e-4)


def test_the_head_is_one_convolution_over_features_and_maps(network: FWB) -> None:
    """Computed in two shares, so that the features' one is there for all experts."""
    count = network.join.in_channels - network.context
    context, maps = torch.randn(2, network.context, 5, 6), torch.randn(2, 3, count, 5, 6)
    found = network.head(network.head_base(context), maps)
    for n in range(3):
        wanted = network.classify(torch.relu(network.join(torch.cat([context, maps[:, n]], dim=1))))
        odds = wanted[:, 1] - wanted[:, 0] + network.prior * maps[:, n, -1]
        assert torch.allclose(found[:, n, 1] - found[:, n, 0], odds, atol=1e-4)


def test_an_untrained_head_takes_the_nearest_prototype(network: FWB) -> None:
    context, maps = torch.randn(1, network.context, 5, 6), torch.randn(1, 1, 7, 5, 6)
    logits = network.head(network.head_base(context), maps)[:, 0]
    assert torch.equal(logits.argmax(dim=1) == 1, maps[:, 0, -1] > 0)


def test_many_supports_make_the_nearest_prototype_count_more() -> None:
    trusting = FWB(replace(TINY, margin=2.0, margin_per_support=4.0))
    odds, maps = torch.randn(2, 5, 6), torch.randn(2, 7, 5, 6)
    assert torch.allclose(trusting.trust_prototypes(odds, maps, 1), odds + 2.0 * maps[:, -1])
    assert torch.allclose(trusting.trust_prototypes(odds, maps, 3), odds + 10.0 * maps[:, -1])
    each = trusting.trust_prototypes(odds, maps, torch.tensor([1, 3]).view(-1, 1, 1))
    assert torch.allclose(each[0], odds[0] + 2.0 * maps[0, -1])
    assert torch.allclose(each[1], odds[1] + 10.0 * maps[1, -1])
    assert torch.equal(FWB(TINY).trust_prototypes(odds, maps, 3), odds)
    with pytest.raises(ConfigError, match="margin_per_support needs more prototypes"):
        replace(TINY, prototypes=1, margin_per_support=5.0)


def test_each_draw_of_the_prototypes_is_boosted_on_its_own(network: FWB) -> None:
    image, mask = picture(48, 64)
    found = []
    for draws in (1, 3):
        drawing = FWB(replace(TINY, draws=draws, steps=2)).eval()
        drawing.load_state_dict(network.state_dict())
        predictor = FWBPredictor(drawing)
        predictor.fit([image], [mask])
        found.append(predictor._classes[0].experts)
    one, three = found
    assert len(one.features) == len(one.weights) == 2
    assert len(three.features) == len(three.weights) == 6
    assert torch.equal(three.features[:2], one.features)
    assert not torch.equal(three.features[2], one.features[0]), "other seeds, other prototypes"
    assert torch.allclose(three.features[2, 0], one.features[0, 0]), "the paper's class feature is the same"


def test_draws_are_part_of_boosting(network: FWB) -> None:
    image, mask = picture(48, 64)
    drawing = FWB(replace(TINY, draws=3)).eval()
    for settings in ({"boosting": False}, {"counts": (1, 1)}):
        predictor = FWBPredictor(drawing, **settings)
        predictor.fit([image], [mask])
        assert len(predictor._classes[0].experts.weights) == (1 if "boosting" in settings else TINY.steps)
    with pytest.raises(ConfigError, match="draws is 0"):
        replace(TINY, draws=0)
    with pytest.raises(ConfigError, match="draws needs more prototypes"):
        replace(TINY, prototypes=1, draws=2)


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
    def encode(images: Tensor) -> Encoded:
        with torch.no_grad():
            return network.encode(images)

    def stack(images: Sequence[Tensor], masks: Sequence[Tensor]) -> Supports:
        return stack_supports(images, masks, encode, lambda image: shrunk_canvas(image, None, 32), torch.device("cpu"))

    images, masks = zip(picture(48, 64), picture(83, 30), strict=True)
    both = stack(images, masks)
    assert both.encoded.features.shape == (2, network.channels, 12, 8)
    assert both.truth.shape == (2, 96, 64)
    for k in range(2):
        alone = stack(images[k : k + 1], masks[k : k + 1])
        for part in ("inside", "outside"):
            average = class_average(both.encoded.features, getattr(both, part))[k]
            of_one = class_average(alone.encoded.features, getattr(alone, part))[0]
            assert torch.allclose(average, of_one, atol=1e-5), part
        assert int((both.truth[k] == 1).sum()) == int((masks[k] > 0).sum())
        assert int((both.truth[k] != 255).sum()) == masks[k].numel()


@pytest.mark.parametrize(("enlarge", "expected"), [(True, (64, 107)), (False, (30, 60))])
def test_small_images_are_enlarged_where_the_configuration_says_so(*, enlarge: bool, expected: tuple[int, int]) -> None:
    predictor = FWBPredictor(FWB(replace(TINY, enlarge=enlarge)))
    encoded, at_native_size = predictor.encode_query(torch.rand(1, 3, 30, 60))
    assert tuple(encoded.features.shape[2:]) == tuple(-(-side // 32) * 4 for side in expected)
    assert at_native_size(torch.rand(1, *encoded.features.shape[2:])).shape == (1, 30, 60)


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


def test_training_on_few_pictures_makes_the_class_found() -> None:
    """The head and the presence learn; weighting and boosting then find the class in another picture."""
    torch.manual_seed(0)
    network = FWB(TINY).train()
    set_training_mode(network, freeze_norm=True)
    trained = [p for name, p in network.named_parameters() if not name.startswith("backbone.trunk.")]
    optimiser = torch.optim.Adam(trained, lr=3e-3)
    pairs = [picture(64, 64, seed) for seed in range(4)]
    blue = [(image.roll(1, dims=0), mask) for image, mask in pairs]  # the same square in other colours: another class
    images = torch.stack([torch.stack([p[0] for p in part]) for part in (pairs, blue)])
    masks = torch.stack([torch.stack([(p[1] > 0).float() for p in part]) for part in (pairs, blue)])
    labels = (masks * torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)).long()
    supports = ~torch.eye(4, dtype=torch.bool).expand(2, 4, 4)
    batch = EpisodeSamples(images, masks, supports, labels, torch.tensor([0, 1]))
    for _ in range(24):
        loss = SYSTEM.objectives["episodes"](network, batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    predictor = FWBPredictor(network)
    assert predictor.fit([pairs[0][0]], [pairs[0][1]]) > 0.3
    query, truth = picture(64, 64, 9)
    (found,) = predictor.predict(query.unsqueeze(0))
    overlap = ((found.label_map == 1) & (truth > 0)).sum() / ((found.label_map == 1) | (truth > 0)).sum()
    assert overlap > 0.3
    (nothing,) = predictor.predict(blue[1][0].unsqueeze(0))
    assert nothing.confidence[0] < found.confidence[0]
