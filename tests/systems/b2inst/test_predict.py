"""The B2Inst network and predictor: shapes, odd sizes, batches, and that a tiny set can be learnt by heart."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vossegcli.data.instances import InstanceSamples, boundary_distance, boxes_of_ids
from vossegcli.errors import ConfigError
from vossegcli.ops.masks import paste_mask
from vossegcli.systems.b2inst import SYSTEM
from vossegcli.systems.b2inst.box_head import grown
from vossegcli.systems.b2inst.config import CONFIGS, B2InstConfig
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.b2inst.predict import STEP, B2InstPredictor

TINY = B2InstConfig(
    classes=2, stem=8, planes=(8, 8, 16, 16), depths=(1, 1, 1, 1), stride_in_1x1=False, channels=16,
    tower=1, groups=4, basis_channels=8, basis_convs=1, attention=4, resolution=8, largest_resolution=8,
    scoring_channels=8, scoring_hidden=16, short_side=64,
)  # fmt: skip


def squares_and_bars() -> InstanceSamples:
    """Two pictures with a bright square (class 0) and a dark bar (class 1) on grey noise."""
    generator = torch.Generator().manual_seed(0)
    images = 0.4 + 0.2 * torch.rand(2, 3, 64, 64, generator=generator)
    ids = torch.zeros(2, 64, 64, dtype=torch.int64)
    for b, (top, left) in enumerate(((8, 6), (34, 30))):
        ids[b, top : top + 20, left : left + 20] = 1
        ids[b, 50 - top : 60 - top, 32 - b * 28 : 60 - b * 28] = 2
        images[b, :, ids[b] == 1], images[b, :, ids[b] == 2] = 0.95, 0.05
    maps = [part.numpy().astype("int32") for part in ids]
    labels = torch.tensor([0, 1])
    return InstanceSamples(
        images, ids, tuple(torch.from_numpy(boxes_of_ids(m, 2)) for m in maps), (labels, labels), ids,
        torch.stack([torch.from_numpy(boundary_distance(m)) for m in maps]),
    )  # fmt: skip


def test_boxes_grow_as_far_as_the_picture_goes() -> None:
    boxes = torch.tensor([[10.0, 20.0, 30.0, 40.0], [0.0, 0.0, 50.0, 10.0]])
    assert grown(boxes, 0.1, (60, 52)).tolist() == [[8.0, 18.0, 32.0, 42.0], [0.0, 0.0, 52.0, 11.0]]
    assert torch.equal(grown(boxes, 0.0, (60, 52)), boxes)
    sides = torch.tensor([[0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert grown(boxes, sides, (60, 60)).tolist() == [[0.0, 20.0, 30.0, 40.0], [0.0, 0.0, 50.0, 20.0]]


def test_masks_reach_beyond_their_boxes_by_the_margin(network: B2Inst) -> None:
    wide = copy.deepcopy(network)
    wide.config = replace(network.config, mask_margin=0.25)
    image = torch.rand(1, 3, 64, 96)
    (tight,), (found,) = (B2InstPredictor(n, score_threshold=0.0).predict(image) for n in (network, wide))
    assert torch.equal(tight.regions, tight.boxes)
    assert sorted(found.boxes.tolist()) == sorted(tight.boxes.tolist()), "boxes stay as they are"
    extent = (found.boxes[:, 2:] - found.boxes[:, :2]) * 0.25
    expected = torch.cat([found.boxes[:, :2] - extent, found.boxes[:, 2:] + extent], dim=1)
    inside = expected.clamp(min=0).minimum(torch.tensor([96.0, 64.0, 96.0, 64.0]))
    assert torch.allclose(found.regions, inside, atol=1e-3)


def test_background_of_partly_annotated_pictures_is_left_alone(network: B2Inst) -> None:
    """What is found far from any annotation may be right: nothing there changes the loss of its class."""
    batch = squares_and_bars()
    area = torch.zeros_like(batch.ids, dtype=torch.bool)
    for b, boxes in enumerate(batch.boxes):
        for left, top, right, bottom in boxes.int().tolist():
            area[b, top:bottom, left:right] = True
    training = copy.deepcopy(network).train()

    def terms(annotated: Tensor | None) -> dict[str, Tensor]:
        torch.manual_seed(0)
        return SYSTEM.objectives["instances"](training, replace(batch, annotated=annotated))

    whole, inside, everywhere = terms(None), terms(area), terms(torch.ones_like(area))
    for name in ("classes", "semantic", "boundary_distance"):
        assert torch.equal(whole[name], everywhere[name]), name
        assert not torch.equal(whole[name], inside[name]), name
    for name in ("boxes", "masks"):
        assert torch.allclose(whole[name], inside[name]), name
    assert inside["classes"].item() < whole["classes"].item()


@pytest.fixture(scope="module", params=["resnet", "efficientnet_lite0"])
def network(request: pytest.FixtureRequest) -> B2Inst:
    torch.manual_seed(0)
    return B2Inst(replace(TINY, backbone=request.param, fine_bases=request.param != "resnet")).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_build(name: str) -> None:
    with torch.device("meta"):
        model = B2Inst(CONFIGS[name])
    assert model.box_head.top_layer.out_channels == CONFIGS[name].all_bases * CONFIGS[name].attention ** 2
    if name == "compact":
        assert sum(p.numel() for p in model.parameters()) * 2 < 20e6, "at most 20 MB in half precision"


def test_attention_is_the_top_layer_at_the_locations(network: B2Inst) -> None:
    """It is computed where it is needed only; there it is what the whole convolution gives."""
    encoded = network(torch.rand(2, 3, 64, 96))
    images, places = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([5, 95, 96, 100, 123])
    found = network.attention(encoded, images, places)
    dense = [network.box_head.top_layer(level.tower).flatten(2) for level in encoded.levels]
    everything = torch.cat(dense, dim=2)
    assert everything.shape[2] == 96 + 24 + 6 + 2 + 1
    for k in range(5):
        wanted = everything[images[k], :, places[k]].view(network.box_head.map_shape)
        assert torch.allclose(found[k], wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (50, 77), (130, 40)])
def test_boxes_lie_in_the_image(network: B2Inst, size: tuple[int, int]) -> None:
    (found,) = B2InstPredictor(network, score_threshold=0.0, top_k=20).predict(torch.rand(1, 3, *size))
    assert len(found.boxes) == 20
    assert found.masks.shape == (20, 8, 8)
    assert found.boxes.min() >= 0.0
    assert (found.boxes[:, 2] <= size[1] + 1e-3).all()
    assert (found.boxes[:, 3] <= size[0] + 1e-3).all()
    assert (found.scores.diff() <= 0).all(), "best first"


def test_a_batch_gives_what_its_images_give_alone(network: B2Inst) -> None:
    images = torch.rand(2, 3, 64, 80)
    predictor = B2InstPredictor(network, score_threshold=0.0, top_k=5)
    for together, image in zip(predictor.predict(images), images, strict=True):
        (alone,) = predictor.predict(image.unsqueeze(0))
        assert torch.allclose(together.boxes, alone.boxes, atol=1e-3)


def test_masks_are_scored_in_full_batches(network: B2Inst) -> None:
    image, seen = torch.rand(1, 3, 64, 96), []
    (many,) = B2InstPredictor(network, score_threshold=0.0, top_k=16).predict(image)
    for count in (3, 5, 12):
        predictor = B2InstPredictor(network, score_threshold=0.0, top_k=count)
        assert predictor.model.scoring is not None
        predictor.model.scoring.register_forward_hook(lambda _module, given, _result: seen.append(len(given[2])))
        (found,) = predictor.predict(image)
        assert len(found.scores) == count
        for score in found.scores:  # those of the empty places never come out
            assert (many.scores - score).abs().min() < 1e-5
    assert set(seen) == {STEP}


def test_nothing_is_found_above_every_score(network: B2Inst) -> None:
    (found,) = B2InstPredictor(network, score_threshold=1.0).predict(torch.rand(1, 3, 64, 64))
    assert found.boxes.shape == (0, 4)
    assert found.masks.shape == (0, 8, 8)


def test_a_tiny_set_is_learnt_by_heart() -> None:
    torch.manual_seed(0)
    model = B2Inst(TINY).train()
    batch = squares_and_bars()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    silent: set[str] = {name for name, _ in model.named_parameters()}
    for _ in range(110):
        terms = SYSTEM.objectives["instances"](model, batch)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        losses.append(float(terms["loss"].detach()))
        silent -= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert not silent, "parameters that never learnt"
    assert losses[-1] < 0.4 * losses[0]
    found = B2InstPredictor(model.eval(), score_threshold=0.05).predict(batch.images)
    for b in range(2):
        for label in (0, 1):
            best = int((found[b].labels == label).nonzero()[0])
            assert overlap(found[b].masks[best], found[b].boxes[best], batch.ids[b] == label + 1) > 0.6


def overlap(mask: Tensor, box: Tensor, truth: Tensor) -> float:
    top, left, region = paste_mask(mask, box, (64, 64))
    whole = torch.zeros(64, 64, dtype=torch.bool)
    whole[top : top + region.shape[0], left : left + region.shape[1]] = region
    return float((whole & truth).sum() / (whole | truth).sum())


def test_pictures_without_instances_train_too() -> None:
    torch.manual_seed(0)
    model = B2Inst(TINY).train()
    batch = squares_and_bars()
    empty = InstanceSamples(
        batch.images, torch.zeros_like(batch.ids), (torch.zeros(0, 4),) * 2, (torch.zeros(0, dtype=torch.int64),) * 2,
        torch.zeros_like(batch.ids), torch.ones_like(batch.distance),
    )  # fmt: skip
    terms = SYSTEM.objectives["instances"](model, empty)
    terms["loss"].backward()
    assert torch.isfinite(terms["loss"])


def test_configurations_can_be_stored() -> None:
    assert B2InstConfig.from_dict(TINY.to_dict()) == TINY
    assert TINY.with_labels(["a", "b", "c"]).classes == 3
    for bad in ({"backbone": "x"}, {"resolution": 7}, {"channels": 20, "groups": 16}, {"classes": 0}, {"unknown": 1}):
        with pytest.raises(ConfigError):
            B2InstConfig.from_dict(bad)
