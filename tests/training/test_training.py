"""Training.

Covers: training.loop, training.settings
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from vossegcli.errors import ConfigError, InputError
from vossegcli.training.loop import (
    Trainer,
    freeze_weights,
    learning_rate,
    parameter_groups,
    run_training,
    set_training_mode,
)
from vossegcli.training.settings import Stage, TrainingSettings

STAGE = {"name": "a", "objective": "square", "steps": 10, "batch": 1, "size": 16, "frames": 2, "warmup": 2}


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.from_dict({"config": "tiny", "stages": [STAGE, {**STAGE, "name": "b"}], **changes})


def test_stages_follow_each_other() -> None:
    plan = settings()
    assert plan.total_steps == 20
    assert [(plan.locate(s)[0].name, plan.locate(s)[1]) for s in (0, 9, 10, 19)] == [
        ("a", 0), ("a", 9), ("b", 0), ("b", 9),
    ]  # fmt: skip
    with pytest.raises(IndexError):
        plan.locate(20)


def test_learning_rate_by_hand() -> None:
    stage = settings().stages[0]
    assert learning_rate(stage, 0) == pytest.approx(stage.learning_rate * 0.5)
    half = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * 0.5))
    assert learning_rate(stage, 5) == pytest.approx(stage.learning_rate * half)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"config": "x"}, "no \\[\\[stages\\]\\]"),
        ({"config": "x", "stages": [{**STAGE, "colour": 1}]}, "colour"),
        ({"config": "x", "stages": [{**STAGE, "size": 20}]}, "size"),
        ({"config": "x", "stages": [{**STAGE, "frames": 0}]}, "frames"),
        ({"config": "x", "stages": [{**STAGE, "backbone_rate": -0.1}]}, "backbone_rate"),
        ({"config": "x", "stages": [{**STAGE, "learning_rate": math.nan}]}, "learning_rate is nan"),
        ({"config": "x", "stages": [{"name": "a"}]}, r"\[\[stages\]\] 1: has no setting 'objective'. Add it"),
        ({"config": "x", "stages": [{**STAGE, "steps": "5"}]}, "stage 'a': steps is '5'. Give a whole number"),
        ({"config": "x", "stages": [{**STAGE, "freeze_norm": 1}]}, "freeze_norm is 1. Give True or False"),
        ({"config": "x", "stages": [STAGE], "model": 3}, "training settings: model is 3. Give a Mapping"),
        ({"config": "x", "stages": [STAGE], "sead": 1}, "sead"),
    ],
)
def test_bad_settings_are_named(values: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        TrainingSettings.from_dict(values)


class Silent:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.states: dict[int, dict[str, torch.Tensor]] = {}

    def on_step(self, step: int, stage: Stage, values: object) -> None:
        self.steps.append(step)

    def on_state(self, step: int, trainer: Trainer) -> None:
        self.states[step] = {name: value.clone() for name, value in trainer.state().items()}


def square(model: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"loss": (model(batch) - 1.0).square().mean()}


def trainer(plan: TrainingSettings) -> Trainer:
    torch.manual_seed(0)
    return Trainer(nn.Linear(3, 1), plan)


def batches(start: int, stop: int) -> list[torch.Tensor]:
    return [torch.randn(4, 3, generator=torch.Generator().manual_seed(step)) for step in range(start, stop)]


def train(subject: Trainer, observer: Silent, start: int) -> None:
    run_training(
        subject, {"square": square}, batches(start, 20), observer,
        precision=torch.float32,
    )  # fmt: skip


def test_resuming_ends_with_the_same_weights() -> None:
    plan = settings(checkpoint_every=7)
    whole, seen = trainer(plan), Silent()
    train(whole, seen, 0)
    assert seen.steps == list(range(1, 21))
    assert sorted(seen.states) == [7, 14, 20]
    resumed = trainer(plan)
    resumed.load_state(seen.states[7], 7)
    train(resumed, Silent(), 7)
    for name, value in whole.state().items():
        assert torch.equal(value, resumed.state()[name]), name


def test_the_loss_falls() -> None:
    subject, batch = (
        trainer(settings(stages=[{**STAGE, "steps": 300, "learning_rate": 0.05}])),
        torch.randn(8, 3),
    )
    before = float(square(subject.model, batch)["loss"])
    for _ in range(300):
        subject.train_step(square, batch, torch.float32)
    assert float(square(subject.model, batch)["loss"]) < 0.5 * before


def test_a_step_without_finite_gradient_changes_nothing() -> None:
    subject = trainer(settings())
    before = {name: value.clone() for name, value in subject.state().items()}
    values = subject.train_step(square, torch.full((4, 3), float("inf")), torch.float32)
    assert values["skipped"] == 1.0
    assert subject.step == 1
    assert all(torch.equal(before[name], value) for name, value in subject.state().items())


def test_a_run_that_has_diverged_ends() -> None:
    subject, seen = trainer(settings(stages=[{**STAGE, "steps": 500}], checkpoint_every=1000)), Silent()
    good, bad = torch.ones(4, 3), torch.full((4, 3), math.nan)
    drawn = [good, *[bad] * 99, good, *[bad] * 100, good]
    with pytest.raises(ConfigError, match=r"step 201: stage 'a': .* not finite in 100 steps in a row.*learning_rate"):
        run_training(subject, {"square": square}, drawn, seen, precision=torch.float32)
    assert all(torch.isfinite(value).all() for value in subject.state().values())


def test_the_steps_before_a_batch_that_cannot_be_made_are_saved() -> None:
    def some() -> Iterator[torch.Tensor]:
        yield from batches(0, 3)
        raise InputError("cannot be read")

    subject, seen = trainer(settings()), Silent()
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be read"):
            run_training(subject, {"square": square}, some(), seen, precision=torch.float32)
    assert sorted(seen.states) == [3, 6]
    none = Silent()
    with pytest.raises(InputError):
        run_training(trainer(settings()), {"square": square}, (b for b in some() if False), none,
                     precision=torch.float32)  # fmt: skip
    assert not none.states, "no step was done"


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_the_backbone_learns_at_its_own_rate(rate: float) -> None:
    stage = {**STAGE, "backbone_rate": rate, "weight_decay": 0.0, "warmup": 1, "learning_rate": 1e-3}
    subject = Trainer(two_layers(), settings(stages=[stage]), ("0.",))
    before = {name: value.clone() for name, value in subject.model.named_parameters()}
    subject.train_step(square, torch.randn(4, 3), torch.float32)
    moved = {name: float((value - before[name]).abs().max()) for name, value in subject.model.named_parameters()}
    # Adam's first step moves each weight by the learning rate, whatever its gradient.
    expected = {"0": rate * stage["learning_rate"], "1": stage["learning_rate"]}
    for name, distance in moved.items():
        assert distance == pytest.approx(expected[name.split(".")[0]], rel=1e-3), name


def test_parameters_of_all_kinds_are_trained_once() -> None:
    network = two_layers()
    groups = parameter_groups(network, ("0.",))
    assert [(group["backbone"], group["decayed"]) for group in groups] == [
        (False, False), (False, True), (True, False), (True, True),
    ]  # fmt: skip
    assert sorted(map(id, network.parameters())) == sorted(id(p) for group in groups for p in group["params"])


def test_a_backbone_that_does_not_learn_gets_no_gradient_and_may_learn_later() -> None:
    frozen = {**STAGE, "backbone_rate": 0.0, "steps": 1}
    subject = Trainer(two_layers(), settings(stages=[frozen, {**STAGE, "name": "b"}]), ("0.",))
    before = {name: value.clone() for name, value in subject.model.named_parameters()}
    subject.train_step(square, torch.randn(4, 3), torch.float32)
    assert subject.model[0].weight.grad is None
    assert torch.equal(before["0.weight"], subject.model[0].weight)
    subject.train_step(square, torch.randn(4, 3), torch.float32)
    assert not torch.equal(before["0.weight"], subject.model[0].weight)


def test_frozen_weights_stay_as_they_are() -> None:
    stages = [{**STAGE, "steps": 2, "frozen": ["0."]}, {**STAGE, "steps": 2, "name": "b"}]
    subject = Trainer(two_layers(), settings(stages=stages))
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    given = [torch.randn(4, 3) for _ in range(4)]
    run_training(subject, {"square": square}, given[:2], Silent(), precision=torch.float32)
    moved = {name: not torch.equal(value, before[name]) for name, value in subject.model.state_dict().items()}
    assert moved == {"0.weight": False, "0.bias": False, "1.weight": True, "1.bias": True}
    run_training(subject, {"square": square}, given[2:], Silent(), precision=torch.float32)
    assert not torch.equal(subject.model.state_dict()["0.weight"], before["0.weight"]), "trained in the next stage"
    with pytest.raises(ConfigError, match=r"no weight begins with 'trunk\.'"):
        Trainer(two_layers(), settings(stages=[{**STAGE, "frozen": ["trunk."]}]))


def test_norms_are_frozen_in_the_backbone_alone() -> None:
    model = nn.ModuleDict({"trunk": nn.BatchNorm2d(2), "head": nn.BatchNorm2d(2)})
    set_training_mode(model, freeze_norm=True, backbone=("trunk",))
    assert [model["trunk"].training, model["head"].training] == [False, True]
    set_training_mode(model, freeze_norm=True)
    assert [model["trunk"].training, model["head"].training] == [False, False]
    freeze_weights(model, ())
    assert all(value.requires_grad for value in model.parameters())
