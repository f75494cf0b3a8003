"""The classifier of cells that is fitted to a video."""

import pytest
import torch
from torch import Tensor

from tests.systems.afb_urr.test_contract import WIDTHS
from tests.systems.contracts.scenes import square_clip
from vossegcli.errors import ConfigError
from vossegcli.systems.afb_urr import target_model
from vossegcli.systems.afb_urr.config import COMPACT, AFBURRConfig, TargetConfig
from vossegcli.systems.afb_urr.encoders import Pyramid
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.afb_urr.target_model import (
    APART,
    AROUND,
    MISTAKES,
    Stages,
    TargetModel,
    counts_of,
    describe,
    descriptors,
    grid_of,
    mistakes,
    moments,
    near_objects,
    solve,
    target_from_state,
)  # fmt: skip

CONFIG = TargetConfig()


def looks(classes: Tensor, seed: int = 0) -> Stages:
    """Stages at strides 4 and 8 of cells of classes (h8,w8): one direction each, and noise."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.eye(8)[classes].permute(2, 0, 1).unsqueeze(0)
    noisy = means + 0.1 * torch.randn(means.shape, generator=generator)
    return noisy[:, :4].repeat_interleave(2, 2).repeat_interleave(2, 3), noisy[:, 4:]


def scored(target: TargetModel, stages: Stages) -> Tensor:
    """Scores (K,h8,w8) of cells at stride 8."""
    return torch.nn.functional.avg_pool2d(target.score(stages), 2)[0]


def masks_of(classes: Tensor, count: int) -> Tensor:
    """Masks (1,K,8h,8w) of cells of classes (h,w); what is not a class is background."""
    known = torch.where(classes < count, classes, 0)
    one_hot = torch.nn.functional.one_hot(known, count).permute(2, 0, 1).float()
    return one_hot.repeat_interleave(8, 1).repeat_interleave(8, 2).unsqueeze(0)


def scene(*objects: int) -> Tensor:
    """Classes (8,12) of cells: background, and a square of 2x2 cells for each object."""
    classes = torch.zeros(8, 12, dtype=torch.int64)
    for number, k in enumerate(objects):
        classes[3:5, 3 * number + 1 : 3 * number + 3] = k
    return classes


def known(*objects: int) -> TargetModel:
    classes = scene(*objects)
    return TargetModel(CONFIG).learned(looks(classes), masks_of(classes, max(objects) + 1), 0, annotated=True)


def test_it_tells_the_object_wherever_it_is() -> None:
    elsewhere = scene(1).roll((2, 5), dims=(0, 1))
    assert known(1).score(looks(elsewhere, seed=1)).shape == (1, 2, 16, 24)
    scores = scored(known(1), looks(elsewhere, seed=1))
    assert torch.equal(scores.argmax(dim=0), elsewhere)
    assert torch.allclose(scores.sum(dim=0), torch.ones(8, 12), atol=0.1)


def test_what_the_object_shares_with_nothing_else_is_enough() -> None:
    """Two descriptors make the object; where one of them is missing, the other still tells it from the background."""
    classes = scene(1)
    fine, own = looks(classes)
    own[:, 2] = classes.float()
    target = TargetModel(CONFIG).learned((fine, own), masks_of(classes, 2), 0, annotated=True)
    fine[:, 1] = 0.0
    found = scored(target, (fine, own))[1]
    assert found[classes == 1].min() > found[classes == 0].max()


def counted(count: int, *, near: float = 1.0) -> Tensor:
    """What an object's cell and `count` of background count (N,); of the first of these, `near` of the cells around."""
    shares = torch.nn.functional.one_hot(torch.tensor([1] + [0] * count), 2).float().unsqueeze(0)
    around = torch.full((1, count + 1, 1), 0.5)
    around[:, 1] = near
    return counts_of(shares, around)[0, :, 0]


@pytest.mark.parametrize("count", [2, 5, 50])
def test_a_small_object_counts_as_much_as_the_background(count: int) -> None:
    counts = counted(count)
    assert counts[0] == 1.0
    assert counts[1:].sum() == pytest.approx(1.0)


def test_half_of_the_background_is_what_lies_near_an_object() -> None:
    counts = counted(9, near=0.0)
    assert counts[1] == pytest.approx(0.5 / 9)
    assert torch.allclose(counts[2:], torch.tensor(0.5 / 9 + 0.5 / 8))
    assert counts[2] > counts[1]
    nothing = torch.tensor([[[1.0, 0.0]] * 4])
    assert counts_of(nothing, torch.zeros(1, 4, 1)).sum() == pytest.approx(0.5)  # no object: nothing is near one


def test_near_is_what_has_an_object_around_it() -> None:
    shares = torch.zeros(1, 3, 40, 40)
    shares[:, 0] = 1.0
    shares[0, :, 20, 10] = torch.tensor([0.0, 0.0, 1.0])
    near = near_objects(shares)[0, 0]
    assert torch.equal((near > 1e-6).nonzero().amin(dim=0), torch.tensor([20 - AROUND, 10 - AROUND]))
    assert torch.equal((near > 1e-6).nonzero().amax(dim=0), torch.tensor([20 + AROUND, 10 + AROUND]))


def test_the_solution_is_that_of_ridge_regression() -> None:
    cells = torch.randn(2, 40, 5, dtype=torch.float64)
    shares = torch.rand(2, 40, 3, dtype=torch.float64).softmax(dim=2)
    counts = torch.rand(2, 40, 1, dtype=torch.float64)
    found = moments(cells.float(), shares.float(), counts.float())
    weights = solve(found, 0.1).double()
    weighted = cells * counts / counts.sum(dim=1, keepdim=True)
    descriptors, classes = weighted.transpose(1, 2) @ cells, weighted.transpose(1, 2) @ shares
    penalty = 0.1 * descriptors.diagonal(dim1=1, dim2=2).mean(dim=1).view(2, 1, 1)
    assert torch.allclose(descriptors @ weights + penalty * weights, classes, atol=1e-5)


def test_what_is_unsure_is_not_learned() -> None:
    classes, unsure = scene(1), masks_of(scene(1), 2)
    unsure[..., 24:40, 8:16] = 0.5  # half of the object
    target = known(1)
    learned = target.learned(looks(classes), unsure, 1, annotated=False).recent
    changed, own = looks(classes)
    changed[..., 6:10, 2:4] = 7.0  # the same half, at stride 4
    other = target.learned((changed, own), unsure, 1, annotated=False).recent
    assert learned is not None
    assert other is not None
    assert torch.equal(learned.descriptors, other.descriptors)
    nothing = target.learned(looks(classes), torch.full_like(unsure, 0.5), 1, annotated=False)
    assert nothing.recent is not None
    assert not nothing.recent.descriptors.any()
    assert torch.equal(scored(nothing, looks(classes)).argmax(dim=0), classes)


def test_predicted_masks_are_learned_slowly_and_annotated_ones_are_not_forgotten() -> None:
    target = known(1)
    changed = looks(scene(2), seed=3)  # the object looks otherwise, and its masks are predicted rightly
    before = scored(target, changed)[1][scene(1) == 1].mean()
    for index in range(1, 30):
        target = target.learned(changed, masks_of(scene(1), 2), index, annotated=False)
    assert before < 0.5 < scored(target, changed)[1][scene(1) == 1].mean()
    assert scored(target, looks(scene(1), seed=4))[1][scene(1) == 1].mean() > 0.5
    once = target.recent
    again = target.learned(looks(scene(1)), masks_of(scene(1), 2), 4, annotated=False).recent
    assert once is not None
    assert again is not None
    newest = TargetModel(CONFIG).learned(looks(scene(1)), masks_of(scene(1), 2), 4, annotated=False).recent
    assert newest is not None
    assert torch.allclose(again.classes, 0.9 * once.classes + 0.1 * newest.classes, atol=1e-6)


def test_objects_may_come_later() -> None:
    target = known(1).learned(looks(scene(1)), masks_of(scene(1), 2), 1, annotated=False)
    both = scene(1, 2)
    target = target.learned(looks(both), masks_of(both, 3), 2, annotated=True)
    assert torch.equal(scored(target, looks(both, seed=5)).argmax(dim=0), both)


def test_state_restores_all_of_it() -> None:
    fresh = known(1)
    older = fresh.learned(looks(scene(1)), masks_of(scene(1), 2), 1, annotated=False)
    for target in (fresh, older):
        again = target_from_state(CONFIG, target.state())
        assert torch.equal(again.score(looks(scene(1))), target.score(looks(scene(1))))
        assert again.frames == 1


def pyramid() -> Pyramid:
    sizes = {16: (48, 80), 24: (24, 40), 40: (12, 20), 112: (6, 10), 320: (3, 5)}
    generator = torch.Generator().manual_seed(0)
    features = [torch.rand(2, channels, *size, generator=generator) for channels, size in sizes.items()]
    return Pyramid(*(10.0**k * stage for k, stage in enumerate(features)))


def test_stages_count_the_same() -> None:
    frames = torch.rand(2, 3, 96, 160)
    described = describe(frames, pyramid())
    assert [stage.shape[1] for stage in described] == [24 + 16 + 9, 40, 112, 320]
    for unit in (described[0][:, :24], described[0][:, 24:40], *described[1:]):
        assert torch.allclose(unit.norm(dim=1), torch.ones(()), atol=1e-4)
    colours, products = described[0][:, 40:43], described[0][:, 43:]
    assert torch.allclose(colours, torch.nn.functional.avg_pool2d(frames, 4) - 0.5, atol=1e-6)
    assert torch.allclose(products[:, 0], colours[:, 0] ** 2)
    assert len(describe(frames, Pyramid(*pyramid()[:4]))) == 3


@pytest.mark.parametrize("index", [0, 1, 7, 30])
def test_cells_of_a_grid_are_those_of_maps_at_stride_4(index: int) -> None:
    stages, grid = describe(torch.rand(2, 3, 96, 160), pyramid()), grid_of(index, annotated=False)
    whole = [torch.nn.functional.interpolate(stage, (24, 40), mode="bilinear") for stage in stages]
    cells = descriptors(stages, grid)
    assert cells.shape == (2, 6 * 10, 24 + 16 + 9 + 40 + 112 + 320 + 1)
    assert torch.allclose(cells[..., :-1], grid.of(torch.cat(whole, dim=1)), atol=1e-5)
    assert torch.equal(cells[..., -1], torch.ones(2, 60))


def test_every_cell_comes_to_be_learned_from() -> None:
    seen = torch.zeros(24, 40)
    for index in range(APART**2):
        seen[grid_of(index, annotated=False)] += 1.0
    assert torch.equal(seen, torch.ones(24, 40))


def test_scores_are_those_of_the_cells_side_by_side() -> None:
    """Stages are classified one by one; where nothing changes from place to place, that is the same."""
    target = known(1)
    flat = tuple(stage[..., 3:4, 1:2].expand(-1, -1, *stage.shape[2:]) for stage in looks(scene(1)))
    cells = descriptors(flat, grid_of(0, annotated=True))
    assert target.annotated is not None
    expected = (cells @ solve(target.annotated, CONFIG.ridge))[0, 0]
    assert torch.allclose(target.score(flat)[0, :, 5, 5], expected, atol=1e-5)


def test_settings_are_checked() -> None:
    for wrong in ({"ridge": 0.0}, {"annotated": 0.0}, {"rate": 1.5}, {"odds": -1.0}):
        with pytest.raises(ConfigError):
            TargetConfig(**wrong)


def test_what_is_hard_to_tell_apart_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few cells of the background look much like the object: they are not outweighed by the many that do not."""
    classes = scene(1)
    fine, own = looks(classes)
    own[:, 0, 0, :2], own[:, 1, 0, :2] = 0.0, 0.7
    fine[:, 0, :2, :4], fine[:, 1, :2, :4] = 0.0, 0.7
    found = []
    for weight in (0.0, target_model.MISTAKES):
        monkeypatch.setattr(target_model, "MISTAKES", weight)
        target = TargetModel(CONFIG).learned((fine, own), masks_of(classes, 2), 0, annotated=True)
        scores = scored(target, (fine, own))[1]
        found.append((float(scores[0, :2].mean()), float(scores[classes == 1].mean())))
    (alike, object_itself), (alike_now, object_now) = found
    assert object_now - alike_now > object_itself - alike


def test_only_mistakes_count_more() -> None:
    cells, shares = torch.eye(3).unsqueeze(0), torch.eye(3)[None, :, :2]
    right = torch.eye(3)[None, :, :2]
    assert mistakes(cells, shares, right).tolist() == [[[1.0], [1.0], [1.0]]]
    wrong = right.flip(2)
    assert mistakes(cells, shares, wrong).flatten().tolist() == [1.0 + MISTAKES, 1.0 + MISTAKES, 1.0]


@torch.no_grad()
@pytest.mark.parametrize("saved", [False, True])
def test_a_predictor_follows_with_it_and_a_correction_is_learned(saved: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    predictor = AFBURRPredictor(AFBURR(AFBURRConfig.from_dict(COMPACT.to_dict() | WIDTHS)))
    frames, labels = square_clip(4, (64, 96), (1,))
    predictor.start(frames[0], labels[0])
    for frame in frames[1:3]:
        predictor.step(frame)
    if saved:  # what is written between a frame and its correction changes nothing of it
        predictor.load_state(predictor.state())
    predictor.add_objects(frames[2], labels[2])
    predictor.state()
    target = predictor._newest.target  # noqa: SLF001 - what it has learned is not shown elsewhere
    assert target is not None
    assert target.frames == 4  # each with its mirror image
    assert target.recent is not None
