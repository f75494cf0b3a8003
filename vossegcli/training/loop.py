"""The training loop: AdamW, warm-up and cosine, gradient clipping, a moving average of the weights, resume."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vossegcli.errors import ConfigError, VossegError
from vossegcli.named_parts import joined_parts, part_of
from vossegcli.training.interruption import Interruption
from vossegcli.training.settings import Stage, TrainingSettings

Batch = TypeVar("Batch")
Objective = Callable[[nn.Module, Batch], dict[str, Tensor]]

MOST_SKIPPED = 100  # steps in a row without a finite gradient: such a run has diverged


class Observer(Protocol):
    """Observer of a training run."""

    def on_step(self, step: int, stage: Stage, values: Mapping[str, float]) -> None:
        """Take the loss terms, learning rate, gradient norm and seconds of one step."""

    def on_state(self, step: int, trainer: Trainer) -> None:
        """Save the trainer's state after `step` steps."""


class Trainer:
    """Model, moving average and optimiser, with a state that can be saved as plain tensors.

    Args:
        model: the network to train; stays on its device.
        settings: of the whole run.
        backbone: how the names of the backbone's parameters begin; `Stage.backbone_rate` is for them.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings, backbone: tuple[str, ...] = ()) -> None:
        self.model = model
        self.settings = settings
        self.backbone = backbone
        names = [name for name, _ in model.named_parameters()]
        for prefix in (prefix for stage in settings.stages for prefix in stage.frozen):
            if not any(name.startswith(prefix) for name in names):
                raise ConfigError(f"no weight begins with '{prefix}'", where="frozen", fix=f"e.g. '{names[0]}'")
        self.average = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.AdamW(parameter_groups(model, backbone))
        self.step = 0

    def state(self) -> dict[str, Tensor]:
        """Return everything that resuming needs as named tensors."""
        moments = self.optimiser.state_dict()["state"]
        optimiser = {f"{index}.{k}": torch.as_tensor(v) for index, one in moments.items() for k, v in one.items()}
        parts = {"model": self.model.state_dict(), "average": self.average.state_dict(), "optimiser": optimiser}
        return {k: v.detach().contiguous() for k, v in joined_parts(parts).items()}

    def load_state(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Continue from `state()` after `step` steps; the keys must match exactly."""
        self.model.load_state_dict(part_of(tensors, "model"))
        self.average.load_state_dict(part_of(tensors, "average"))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part_of(tensors, "optimiser").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.step = step

    def train_step(self, objective: Objective[Batch], batch: Batch, precision: torch.dtype) -> dict[str, float]:
        """Take one step and return the loss terms, the learning rate and the gradient's norm.

        A step whose gradient is not finite changes nothing and is counted under `skipped`.
        """
        stage, inner = self.settings.locate(self.step)
        rate = learning_rate(stage, inner)
        freeze_weights(self.model, (*stage.frozen, *(self.backbone if stage.backbone_rate == 0.0 else ())))
        for group in self.optimiser.param_groups:
            factor = stage.backbone_rate if group["backbone"] else 1.0
            group.update(lr=rate * factor, weight_decay=stage.weight_decay if group["decayed"] else 0.0)
        device = next(self.model.parameters()).device.type
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            terms = objective(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        trained = [p for p in self.model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(trained, self.settings.clip_norm))
        finite = math.isfinite(norm)
        if finite:
            self.optimiser.step()
            self._update_average()
        self.step += 1
        values = {name: float(value.detach()) for name, value in terms.items()}
        return {**values, "learning_rate": rate, "gradient_norm": norm, "skipped": float(not finite)}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        current = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1.0 - decay)
            else:
                value.copy_(current[name])


def parameter_groups(model: nn.Module, backbone: tuple[str, ...]) -> list[dict[str, Any]]:
    """Sort parameters for an optimiser: those of the backbone or not (`backbone`), matrices or vectors (`decayed`).

    Args:
        model: the network.
        backbone: how the names of the backbone's parameters begin.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        kind = (name.startswith(backbone), parameter.ndim > 1)
        groups.setdefault(kind, []).append(parameter)
    return [{"params": groups[kind], "backbone": kind[0], "decayed": kind[1]} for kind in sorted(groups)]


def run_training(
    trainer: Trainer,
    objectives: Mapping[str, Objective[Batch]],
    batches: Iterable[Batch],
    observer: Observer,
    *,
    precision: torch.dtype,
) -> None:
    """Train to the end of the last stage, from wherever the trainer stands.

    Ctrl-C and SIGTERM wait for the end of the step and its state; a second one acts at once.

    Args:
        trainer: model and state.
        objectives: by name.
        batches: one a step, beginning with the trainer's current step.
        observer: told of every step and asked to save the state now and then, and before an error of the batches.
        precision: autocast type; float32 switches autocast off.

    Raises:
        ConfigError: the gradient was not finite in many steps in a row.
    """
    settings = trainer.settings
    skipped = 0
    with Interruption() as interruption:
        for batch in _saved_before_errors(batches, trainer, observer):
            stage, _ = settings.locate(trainer.step)
            set_training_mode(trainer.model, freeze_norm=stage.freeze_norm, backbone=trainer.backbone)
            torch.manual_seed((settings.seed << 32) + trainer.step)  # a resumed run draws the same
            begin = time.perf_counter()
            values = trainer.train_step(objectives[stage.objective], batch, precision)
            observer.on_step(trainer.step, stage, {**values, "seconds": time.perf_counter() - begin})
            skipped = skipped + 1 if values["skipped"] else 0
            if skipped == MOST_SKIPPED:
                what = f"stage '{stage.name}': the loss or its gradient was not finite in {skipped} steps in a row"
                raise ConfigError(what, where=f"step {trainer.step}", fix="lower learning_rate, and begin again")
            finished = trainer.step == settings.total_steps
            if finished or interruption.number or trainer.step % settings.checkpoint_every == 0:
                observer.on_state(trainer.step, trainer)
            if interruption.number:
                interruption.act()
            if finished:
                return


def _saved_before_errors(batches: Iterable[Batch], trainer: Trainer, observer: Observer) -> Iterator[Batch]:
    """Yield the batches; where one cannot be made, as of a picture that has gone, the steps so far are saved."""
    first = trainer.step
    try:
        yield from batches
    except VossegError:
        if trainer.step > first:
            observer.on_state(trainer.step, trainer)
        raise


def set_training_mode(model: nn.Module, *, freeze_norm: bool, backbone: tuple[str, ...] = ()) -> None:
    """Put a network in training mode; frozen batch norms keep their statistics and still train scale and shift.

    Args:
        model: the network.
        freeze_norm: freeze batch norms.
        backbone: how the names of the backbone's layers begin, which alone are frozen; empty = all are.
    """
    model.train()
    for name, module in model.named_modules():
        if freeze_norm and isinstance(module, nn.BatchNorm2d) and (not backbone or name.startswith(backbone)):
            module.eval()


def freeze_weights(model: nn.Module, prefixes: Sequence[str]) -> None:
    """Let the weights stay as they are whose names begin with one of the prefixes, and train all others.

    Without gradients, no time is spent on them.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(prefixes)))


def learning_rate(stage: Stage, inner_step: int) -> float:
    """Linear warm-up to the peak, then a cosine down to a hundredth of it."""
    warm = min(1.0, (inner_step + 1) / stage.warmup)
    cosine = 0.5 * (1.0 + math.cos(math.pi * inner_step / stage.steps))
    return stage.learning_rate * warm * (0.01 + 0.99 * cosine)
