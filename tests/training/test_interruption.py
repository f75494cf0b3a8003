"""An interrupted training ends with a whole step and its state."""

import signal
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn

from vossegcli.training.interruption import Interruption
from vossegcli.training.loop import Trainer, run_training
from vossegcli.training.settings import Stage, TrainingSettings


class States:
    """Keeps the steps that were told, and those whose state was saved."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.saved: list[int] = []

    def on_step(self, step: int, stage: Stage, values: Mapping[str, float]) -> None:
        self.steps.append(step)

    def on_state(self, step: int, trainer: Trainer) -> None:
        self.saved.append(step)


def interrupt_in(step: int, number: int, times: int = 1) -> States:
    """Train, and send a signal in the middle of a step."""
    settings = TrainingSettings(
        config="x", checkpoint_every=10, stages=(Stage("s", "square", steps=20, batch=1, size=32),)
    )
    trainer, states = Trainer(nn.Linear(1, 1), settings), States()

    def square(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        if trainer.step == step - 1:
            for _ in range(times):
                signal.raise_signal(number)
        return {"loss": model(batch).square().mean()}

    def batches() -> Iterator[Tensor]:
        while True:
            yield torch.ones(1, 1)

    with pytest.raises(KeyboardInterrupt):
        run_training(trainer, {"square": square}, batches(), states, precision=torch.float32)
    return states


def test_an_interruption_waits_for_the_end_of_the_step_and_its_state() -> None:
    before = signal.getsignal(signal.SIGINT)
    states = interrupt_in(3, signal.SIGINT)
    assert (states.steps, states.saved) == ([1, 2, 3], [3])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_do_what_their_handler_says_after_the_step(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    try:
        states = interrupt_in(12, number)
    finally:
        signal.signal(number, before)
    assert states.saved == [10, 12]


def test_a_second_interruption_acts_at_once() -> None:
    states = interrupt_in(3, signal.SIGINT, times=2)
    assert (states.steps, states.saved) == ([1, 2], [])


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert not interruption.number
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
