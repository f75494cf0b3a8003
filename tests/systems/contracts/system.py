"""What holds for every system, whatever its task: it learns, it is stored and read back, it changes nothing given.

Covers: systems.base
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from vossegcli.errors import ConfigError
from vossegcli.io.weights.checkpoints import CheckpointHeader, read_checkpoint, write_checkpoint
from vossegcli.models.chosen_model import build_network
from vossegcli.names import SYSTEM_NAMES
from vossegcli.systems import get_system
from vossegcli.systems.base import System
from vossegcli.training.loop import set_training_mode
from vossegcli.types import Task


class SystemContract(ABC):
    """Base of the contracts of the tasks.

    A subclass in a system's tests names the system, a small configuration and one of its training objectives.

    Attributes:
        system: under test.
        config: small enough to train in seconds.
        objective: name of the objective that `batch` is for.
        steps: of Adam in which one batch is learnt by heart, at most.
        rate: learning rate.
        left: share of the loss that may be left after them.
        labels: class names of the configuration.
        task: the predictor's; set by the contract of the task.
        options: keywords of every predictor.
    """

    system: ClassVar[System]
    config: ClassVar[Any]
    objective: ClassVar[str]
    steps: ClassVar[int] = 60
    rate: ClassVar[float] = 3e-3
    left: ClassVar[float] = 0.6
    labels: ClassVar[tuple[str, ...]] = ()

    task: ClassVar[Task]
    options: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def make_inputs(self) -> list[Tensor]:
        """Make the input of the task, the same every time."""

    @abstractmethod
    def outcome(self, predictor: Any) -> list[Tensor]:
        """Do the task once on `inputs`; return all tensors that come out."""

    @abstractmethod
    def batch(self) -> Any:
        """Make one tiny batch for the objective."""

    @cached_property
    def inputs(self) -> list[Tensor]:
        return self.make_inputs()

    def predictor(self, network: nn.Module | None = None, **options: Any) -> Any:
        network = self.network() if network is None else network
        return self.system.predictors[self.task](network, **{**self.options, **options})

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return self.system.build(self.config).eval()

    def terms(self, network: nn.Module) -> dict[str, Tensor]:
        torch.manual_seed(1)
        return self.system.objectives[self.objective](network, self.batch())

    def test_the_system_is_in_the_table(self) -> None:
        assert self.system.name in SYSTEM_NAMES
        assert get_system(self.system.name) is self.system

    def test_same_input_same_result(self) -> None:
        results = [self.outcome(self.predictor()) for _ in range(2)]
        assert any(part.numel() for part in results[0]), "nothing to compare"
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

    def test_nothing_given_is_changed(self) -> None:
        network, given = self.network(), self.inputs
        before = [tensor.clone() for tensor in given]
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        self.outcome(self.predictor(network))
        assert given, "nothing to compare"
        assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
        assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())

    def test_results_are_finite_and_on_the_device_of_the_network(self) -> None:
        network = self.network()
        device = next(network.parameters()).device
        for part in self.outcome(self.predictor(network)):
            assert part.device == device
            assert not part.requires_grad
            assert bool(torch.isfinite(part).all())

    def test_a_network_in_training_mode_gives_the_same(self) -> None:
        network = self.network()
        expected = self.outcome(self.predictor(network))
        found = self.outcome(self.predictor(network.train()))
        assert network.training, "the predictor works on a copy"
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))

    def test_bfloat16_gives_finite_values_of_the_same_types(self) -> None:
        plain = self.outcome(self.predictor())
        mixed = self.outcome(self.predictor(precision=torch.bfloat16))
        assert len(plain) == len(mixed)
        assert all(bool(torch.isfinite(part).all()) for part in mixed)
        assert [part.dtype for part in plain] == [part.dtype for part in mixed]

    def test_gradients_reach_every_weight(self) -> None:
        network = self.network()
        set_training_mode(network, freeze_norm=True)
        self.terms(network)["loss"].backward()
        assert not [name for name, p in network.named_parameters() if p.grad is None]
        assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)

    def test_one_tiny_batch_is_learnt_by_heart(self) -> None:
        network = self.network()
        set_training_mode(network, freeze_norm=False)
        optimiser = torch.optim.Adam(network.parameters(), self.rate)
        losses = []
        for _ in range(self.steps):
            terms = self.terms(network)
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            losses.append(float(terms["loss"].detach()))
            if sum(losses[-5:]) / 5 < self.left * losses[0]:
                break
        assert sum(losses[-5:]) / 5 < self.left * losses[0]

    def test_the_configuration_survives_json(self) -> None:
        assert self.system.parse_config(json.loads(json.dumps(self.config.to_dict()))) == self.config

    def test_saving_and_loading_changes_nothing(self, tmp_path: Path) -> None:
        network = self.network()
        header = CheckpointHeader(self.system.name, self.config.to_dict(), self.labels, {"steps": 0})
        write_checkpoint(tmp_path / "a.safetensors", dict(network.state_dict()), header)
        loaded = build_network(read_checkpoint(str(tmp_path / "a.safetensors")), self.system)
        expected, found = (self.outcome(self.predictor(n)) for n in (network, loaded.eval()))
        assert any(part.numel() for part in expected), "nothing to compare"
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))

    def test_half_precision_weights_are_read_as_float32(self, tmp_path: Path) -> None:
        network = self.network()
        halves = {n: v.half() if v.is_floating_point() else v for n, v in network.state_dict().items()}
        header = CheckpointHeader(self.system.name, self.config.to_dict(), self.labels, {"steps": 0})
        write_checkpoint(tmp_path / "a.safetensors", halves, header)
        loaded = build_network(read_checkpoint(str(tmp_path / "a.safetensors")), self.system)
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}

    def test_an_unknown_field_of_the_configuration_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="unknown"):
            self.system.parse_config({**self.config.to_dict(), "unknown": 1})
