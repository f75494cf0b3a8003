"""The MobileInst network and predictors: shapes, odd sizes, kernel reuse, and learning a few clips by heart.

Covers: systems.mobileinst.backbone, systems.mobileinst.config, systems.mobileinst.convert, systems.mobileinst.model,
systems.mobileinst.train, systems.mobileinst.transformer
"""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.systems.b2inst.test_predict import squares_and_bars
from vossegcli.errors import CheckpointError, ConfigError
from vossegcli.layers.efficientnet_lite import imagenet_names
from vossegcli.ops.canvas import Canvas
from vossegcli.ops.masks import paste_mask
from vossegcli.ops.padding import trailing_padding
from vossegcli.samples import InstanceClipSamples
from vossegcli.systems.base import TrackedInstances
from vossegcli.systems.mobileinst import SYSTEM, predict, train
from vossegcli.systems.mobileinst.config import CONFIGS, MobileInstConfig
from vossegcli.systems.mobileinst.convert import load_imagenet
from vossegcli.systems.mobileinst.mask_decoder import mask_logits
from vossegcli.systems.mobileinst.model import MobileInst
from vossegcli.systems.mobileinst.predict import MobileInstPredictor, MobileInstTracker

TINY = MobileInstConfig(
    classes=2, stem=8, widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), blocks=1, heads=2, channels=32, queries=12,
    kernel=16, feedforward=32, decoder_heads=4, local_stride=16, query_stride=16, short_side=64, top_k=12,
)  # fmt: skip


def network(**changes: object) -> MobileInst:
    torch.manual_seed(0)
    return MobileInst(replace(TINY, **changes)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_build(name: str) -> None:
    with torch.device("meta"):
        model = MobileInst(CONFIGS[name])
    assert model.instance_decoder.mask_kernel.out_features == CONFIGS[name].kernel
    if name == "compact":
        assert sum(p.numel() for p in model.parameters()) * 2 < 15e6, "at most 15 MB in half precision"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": "efficientnet_lite0"},
        {"query_stride": 0},
        {"attention": "axial"},
        {"pooling": "average"},
        {"local_stride": 64},
    ],
)
def test_choices_run_and_learn_everywhere(changes: dict[str, object]) -> None:
    model = network(**changes).train()
    terms = SYSTEM.objectives["instances"](model, squares_and_bars())
    terms["loss"].backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert not missing
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("size", [(64, 64), (50, 77), (130, 40), (8, 9)])
def test_boxes_lie_in_the_image(size: tuple[int, int]) -> None:
    (found,) = MobileInstPredictor(network(), score_threshold=0.0).predict(torch.rand(1, 3, *size))
    assert found.masks.shape == (len(found.boxes), 64, 64)
    if len(found.boxes):
        assert found.boxes.min() >= 0.0
        assert (found.boxes[:, 2] <= size[1]).all()
        assert (found.boxes[:, 3] <= size[0]).all()
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.scores.diff() <= 0).all(), "best first"


def test_a_batch_gives_what_its_images_give_alone() -> None:
    images = torch.rand(2, 3, 64, 80)
    predictor = MobileInstPredictor(network(), score_threshold=0.0)
    for together, image in zip(predictor.predict(images), images, strict=True):
        (alone,) = predictor.predict(image.unsqueeze(0))
        assert torch.allclose(together.boxes, alone.boxes, atol=1e-3)
        assert torch.allclose(together.scores, alone.scores, atol=1e-5)


def test_more_instances_than_queries_do_no_harm() -> None:
    terms = SYSTEM.objectives["instances"](network(query_stride=0, queries=1).train(), squares_and_bars())
    assert bool(torch.isfinite(terms["loss"]))


def moving_squares(frames: int) -> tuple[Tensor, Tensor]:
    """Two bright squares on grey that move to the right: (T,3,64,64) and ids (T,64,64)."""
    generator = torch.Generator().manual_seed(0)
    video = 0.4 + 0.2 * torch.rand(1, 3, 64, 64, generator=generator).repeat(frames, 1, 1, 1)
    ids = torch.zeros(frames, 64, 64, dtype=torch.int64)
    for t in range(frames):
        for number, (top, left) in enumerate(((6, 4), (38, 20)), start=1):
            ids[t, top : top + 18, left + 2 * t : left + 2 * t + 18] = number
        video[t, :, ids[t] > 0] = 0.95
    return video, ids


@pytest.fixture(scope="module")
def learnt() -> MobileInst:
    """A tiny network that has learnt two clips of squares by heart, always at the same place."""
    torch.manual_seed(0)
    model = MobileInst(replace(TINY, classes=1)).train()
    video, ids = moving_squares(5)
    pairs = [(0, 2), (1, 3), (2, 4), (3, 1), (4, 0)]
    clips = InstanceClipSamples(
        torch.stack([video[list(pair)] for pair in pairs]), torch.stack([ids[list(pair)] for pair in pairs]),
        (torch.zeros(2, dtype=torch.int64),) * len(pairs),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "random_origin", lambda device: torch.zeros(2, device=device))
        for _ in range(180):
            terms = SYSTEM.objectives["clips"](model, clips)
            optimiser.zero_grad()
            terms["loss"].backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
    assert float(terms["mask_iou"]) > 0.7
    assert float(terms["passed_iou"]) > 0.7
    assert float(terms["reused_iou"]) > 0.6
    return model.eval()


def test_the_first_frame_speaks_for_the_second(learnt: MobileInst) -> None:
    """Queries and kernels come from the first frame: another one there changes what is said of the second."""
    video, ids = moving_squares(9)
    empty = torch.full_like(video[0], 0.5)
    labels = (torch.zeros(2, dtype=torch.int64),)
    terms = []
    for first in (video[2], empty):
        clips = InstanceClipSamples(torch.stack([first, video[4]])[None], torch.stack([ids[2], ids[4]])[None], labels)
        with torch.no_grad():
            terms.append(SYSTEM.objectives["clips"](learnt, clips))
    for name in ("passed", "reused"):
        assert abs(float(terms[0][name] - terms[1][name])) > 1e-3


@pytest.mark.parametrize("key_every", [1, 3])
def test_nothing_found_is_no_instance(key_every: int) -> None:
    """A network that has learnt nothing is sure of nothing."""
    tracker = MobileInstTracker(network(), key_every=key_every)
    for _ in range(4):
        found = tracker.step(torch.rand(3, 50, 70))
        assert [len(part) for part in found] == [0] * 5
    restored = MobileInstTracker(network(), key_every=key_every)
    restored.load_state(tracker.state())
    assert len(restored.step(torch.rand(3, 50, 70)).ids) == 0
    (alone,) = MobileInstPredictor(network(), score_threshold=0.9).predict(torch.rand(1, 3, 50, 70))
    assert len(alone.boxes) == 0


def test_doubles_are_left_out() -> None:
    masks = torch.zeros(4, 8, 8)
    masks[0, :4, :4] = 0.9
    masks[1, :4, :6] = 0.9  # two thirds of it is the first one
    masks[2, 4:, 4:] = 0.9
    masks[3, :4, :4] = 0.9
    scores = torch.tensor([0.8, 0.9, 0.3, 0.05])
    assert predict._mask_nms(masks, scores, 0.1, 1.0).tolist() == [1, 0, 2]
    assert predict._mask_nms(masks, scores, 0.1, 0.7).tolist() == [1, 0, 2]
    assert predict._mask_nms(masks, scores, 0.1, 0.6).tolist() == [1, 2], "the better of the two stays"
    assert predict._mask_nms(masks, scores, 0.0, 0.7).tolist() == [1, 0, 2], "the same mask twice"


def test_masks_at_the_border_stay_where_they_are() -> None:
    """What comes out of boxes is what enlarging the whole mask gives."""
    native, size = (200, 150), (100, 75)
    y, x = torch.meshgrid(torch.arange(25.0), torch.arange(19.0), indexing="ij")
    discs = ((0.0, 0.0), (0.0, 9.0), (24.0, 18.0), (12.0, 9.0))
    masks = torch.stack([torch.sigmoid(5.0 - torch.hypot(y - row, x - column)) for row, column in discs])
    boxes, inside = predict.masks_in_boxes(masks, Canvas(native, size, trailing_padding(*size, 64)))
    large = (
        F.interpolate(masks.unsqueeze(1), size=(200, 152), mode="bilinear", align_corners=False)[:, 0, :, :150] > 0.5
    )
    for box, mask, truth in zip(boxes, inside, large, strict=True):
        top, left, region = paste_mask(mask, box, native)
        pasted = torch.zeros(native, dtype=torch.bool)
        pasted[top : top + region.shape[0], left : left + region.shape[1]] = region
        assert float((pasted & truth).sum() / (pasted | truth).sum()) > 0.98


def paint(found: TrackedInstances, score: float) -> Tensor:
    """The sure instances of a frame of 64x64 as a map of identities."""
    ids = torch.zeros(64, 64, dtype=torch.int64)
    for number, box, value, mask in zip(found.ids, found.boxes, found.scores, found.masks, strict=True):
        if float(value) >= score:
            top, left, region = paste_mask(mask, box, (64, 64))
            ids[top : top + region.shape[0], left : left + region.shape[1]][region] = int(number)
    return ids


@pytest.mark.parametrize("key_every", [1, 3])
def test_identities_stay_with_their_objects(learnt: MobileInst, key_every: int) -> None:
    tracker = MobileInstTracker(learnt, key_every=key_every, score_threshold=0.5)  # without weak second opinions
    video, truth = moving_squares(5)
    seen = [paint(tracker.step(frame), 0.3) for frame in video]
    found = set()
    for number in (1, 2):
        own = {int(ids[truth[t] == number].mode().values) for t, ids in enumerate(seen)}
        assert len(own) == 1
        found |= own
    assert len(found - {0}) == 2, "each has one of its own"
    shared = seen[0][truth[0] > 0]
    assert float((shared > 0).float().mean()) > 0.7


def test_only_key_frames_ask_the_queries(learnt: MobileInst, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    tracker = MobileInstTracker(learnt, key_every=3)
    detect = tracker._network.model.detect
    monkeypatch.setattr(tracker._network.model, "detect", lambda encoded: asked.append(1) or detect(encoded))
    for frame in moving_squares(5)[0]:
        tracker.step(frame)
    assert len(asked) == 2


def test_doubles_take_no_identity(learnt: MobileInst, monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos have a limit of their own for them."""
    limits = []
    suppress = predict._mask_nms
    monkeypatch.setattr(predict, "_mask_nms", lambda *given: limits.append(given[3]) or suppress(*given))
    model = copy.deepcopy(learnt)
    model.config = replace(learnt.config, overlap=0.9, track_overlap=0.4)
    frame = moving_squares(1)[0][0]
    MobileInstTracker(model).step(frame)
    MobileInstPredictor(model).predict(frame.unsqueeze(0))
    assert limits == [0.4, 0.9]
    with pytest.raises(ConfigError, match="track_overlap"):
        replace(TINY, track_overlap=0.0)


def test_state_resumes_exactly(learnt: MobileInst) -> None:
    video, _ = moving_squares(6)
    one, other = (MobileInstTracker(learnt, key_every=2) for _ in range(2))
    for frame in video[:3]:
        one.step(frame)
    other.load_state({name: value.clone() for name, value in one.state().items()})
    for frame in video[3:]:
        a, b = one.step(frame), other.step(frame)
        assert torch.equal(a.ids, b.ids)
        assert torch.equal(a.masks, b.masks)
        assert torch.equal(a.scores, b.scores)


def test_start_forgets(learnt: MobileInst) -> None:
    video, _ = moving_squares(2)
    tracker = MobileInstTracker(learnt)
    first = tracker.step(video[0])
    tracker.start()
    again = tracker.step(video[0])
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.scores, again.scores)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="attention"):
        replace(TINY, attention="none")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="local_stride"):
        replace(TINY, local_stride=24)
    with pytest.raises(ConfigError, match="multiple"):
        replace(TINY, channels=30)
    assert MobileInstConfig.from_dict({**TINY.to_dict(), "widths": [8, 8, 16, 16]}) == TINY


def test_nothing_published_can_be_imported() -> None:
    with pytest.raises(CheckpointError, match="no weights of MobileInst"):
        SYSTEM.convert({})


def test_efficientnet_starts_from_its_published_weights_and_the_token_pyramid_from_none() -> None:
    assert SYSTEM.imagenet_backbone(CONFIGS["compact"]) == "efficientnet_lite0"
    with pytest.raises(ConfigError, match="no ImageNet weights fit the token pyramid"):
        SYSTEM.imagenet_backbone(TINY)
    model = MobileInst(replace(TINY, backbone="efficientnet_lite0"))
    names = imagenet_names(model.backbone.trunk)
    weights = {theirs: torch.full_like(model.backbone.trunk.state_dict()[ours], 2) for ours, theirs in names.items()}
    load_imagenet(model, {**weights, "_fc.bias": torch.ones(1)})
    assert all(float(value.float().mean()) == 2.0 for value in model.backbone.trunk.state_dict().values())
    assert model.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    with pytest.raises(CheckpointError, match="missing key '_blocks"):
        load_imagenet(model, {})
    with pytest.raises(ConfigError, match="token pyramid"):
        load_imagenet(network(), weights)


def test_a_predictor_changes_only_its_copy() -> None:
    """Its folded norms and faster convolutions give what the network gives in evaluation mode."""
    model = network(backbone="efficientnet_lite0")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predictor = MobileInstPredictor(model, score_threshold=0.0)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in predictor._network.model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.detect(model(images))
        embedded = model(images).embedded
        frame = predictor._network.encode(images)
    assert torch.allclose(frame.encoded.embedded, embedded, atol=1e-4)
    found = predictor._network.detect(frame.encoded)
    assert torch.allclose(found.kernels, expected.kernels, atol=1e-4)
    logits = mask_logits(expected.kernels, embedded)[0]
    flips = (predictor._network.masks(frame, 0, found.kernels[0]) > 0.5) != (logits > 0.0)
    assert not flips[logits.abs() > 1e-3].any()  # the same but for ties
