"""The classifier of cells that is fitted to a video."""

import pytest
import torch
from torch import Tensor

from tests.systems.afb_urr.test_contract import WIDTHS
from tests.systems.contracts.scenes import square_clip
from vossegcli.errors import ConfigError
from vossegcli.systems.afb_urr.config import COMPACT, AFBURRConfig, TargetConfig
from vossegcli.systems.afb_urr.encoders import Pyramid
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.afb_urr.target_model import (
    Stages,
    TargetModel,
    cells_of,
    describe,
    moments,
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


def test_a_small_object_counts_as_much_as_the_background() -> None:
    cells, shares = cells_of(looks(scene(1))).flatten(2), masks_of(scene(1), 2)[..., ::8, ::8].flatten(2)
    background = shares[0, 0] > 0
    often = torch.cat([cells, *[cells[..., background]] * 3], dim=2)
    often_shares = torch.cat([shares, *[shares[..., background]] * 3], dim=2)
    once, more = moments(cells, shares), moments(often, often_shares)
    assert torch.allclose(once.descriptors, more.descriptors, atol=1e-6)
    assert torch.allclose(once.classes, more.classes, atol=1e-6)


def test_the_solution_is_that_of_ridge_regression() -> None:
    cells = torch.randn(2, 5, 40, dtype=torch.float64)
    shares = torch.rand(2, 3, 40, dtype=torch.float64).softmax(dim=1)
    found = moments(cells.float(), shares.float())
    weights = solve(found, 0.1).double()
    descriptors, classes = found.descriptors.double(), found.classes.double()
    penalty = 0.1 * descriptors.diagonal(dim1=1, dim2=2).mean(dim=1).view(2, 1, 1)
    assert torch.allclose(descriptors @ weights + penalty * weights, classes, atol=1e-5)


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
    assert torch.allclose(again.classes, 0.95 * once.classes + 0.05 * newest.classes, atol=1e-6)


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


def test_stages_count_the_same() -> None:
    sizes = {8: (32, 32), 24: (16, 16), 40: (8, 8), 112: (4, 4), 320: (2, 2)}
    stages = [10.0**k * torch.rand(2, channels, *size) for k, (channels, size) in enumerate(sizes.items())]
    described = describe(Pyramid(*stages))
    assert [stage.shape[1] for stage in described] == [24, 40, 112, 320]
    for stage in described:
        assert torch.allclose(stage.norm(dim=1), torch.ones(()), atol=1e-4)
    assert cells_of(described).shape == (2, 24 + 40 + 112 + 320 + 1, 8, 8)
    assert len(describe(Pyramid(*stages[:4]))) == 3


def test_scores_are_those_of_the_cells_side_by_side() -> None:
    """Stages are classified one by one; where nothing changes from place to place, that is the same."""
    target = known(1)
    flat = tuple(stage[..., 3:4, 1:2].expand(-1, -1, *stage.shape[2:]) for stage in looks(scene(1)))
    cells = cells_of(flat).flatten(2)
    assert target.annotated is not None
    expected = (solve(target.annotated, CONFIG.ridge).transpose(1, 2) @ cells)[..., 0]
    assert torch.allclose(target.score(flat)[0, :, 5, 5], expected[0], atol=1e-5)


def test_settings_are_checked() -> None:
    for wrong in ({"ridge": 0.0}, {"annotated": 0.0}, {"rate": 1.5}, {"odds": -1.0}):
        with pytest.raises(ConfigError):
            TargetConfig(**wrong)


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
    assert target.frames == 2
    assert target.recent is not None
