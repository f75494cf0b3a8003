"""What a thread computes ahead of a step, and what the step is left with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.systems.afb_urr.test_contract import WIDTHS
from tests.systems.contracts.scenes import square_clip
from vossegcli.systems.afb_urr.config import COMPACT
from vossegcli.systems.afb_urr.encoded_frame import EncodedFrame, Once
from vossegcli.systems.afb_urr.entries import AnnotatedEntries, BankEntries
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor


def test_what_was_computed_for_a_source_is_not_computed_again() -> None:
    once, first, second = Once[int](), object(), object()
    assert once.found(first) is None
    once.ahead(first, lambda: 1)
    assert once.found(first) == once.get(first, lambda: 2) == 1
    assert once.found(second) is None
    assert once.get(second, lambda: 3) == once.found(second) == 3


def test_an_error_leaves_it_to_be_computed() -> None:
    once, source = Once[int](), object()
    with pytest.raises(ZeroDivisionError):
        once.ahead(source, lambda: 1 // 0)
    assert once.get(source, lambda: 2) == 2


def test_the_step_waits_for_the_thread_and_the_thread_never_for_the_step() -> None:
    once, source, begun, go_on = Once[str](), object(), threading.Event(), threading.Event()

    def slowly() -> str:
        begun.set()
        assert go_on.wait(10.0)
        return "ahead"

    thread = threading.Thread(target=once.ahead, args=(source, slowly))
    thread.start()
    assert begun.wait(10.0)
    once.ahead(source, lambda: "twice")  # returns at once
    threading.Timer(0.05, go_on.set).start()
    assert once.get(source, lambda: "twice") == "ahead"
    thread.join()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down what is computed."""
    computed: list[str] = []

    def told(owner: type, name: str, as_what: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: object) -> object:
            computed.append(as_what)
            return real(*arguments)

        monkeypatch.setattr(owner, name, call)

    told(BankEntries, "read", "read")
    told(BankEntries, "closest", "closest")
    told(AnnotatedEntries, "read", "annotated")
    told(AFBURR, "weigh_newest", "relation")
    return computed


def predictors(precision: torch.dtype = torch.float32) -> tuple[AFBURRPredictor, AFBURRPredictor]:
    torch.manual_seed(0)
    network = AFBURR(replace(COMPACT, **WIDTHS)).eval()
    return AFBURRPredictor(network, precision=precision), AFBURRPredictor(network, precision=precision)


def begun(predictor: AFBURRPredictor, video: Tensor, labels: Tensor) -> EncodedFrame:
    encoded = predictor.encode(video[0])
    predictor.start(encoded, labels[0])
    return encoded


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_bank_is_read_ahead_until_it_changes(precision: torch.dtype, log: list[str]) -> None:
    """Frames 1, 4, 7 are the first to read what was memorised; the others need not wait for it."""
    ahead, plain = predictors(precision)
    video, labels = square_clip(9, (48, 64), (1, 2))
    encoded = begun(ahead, video, labels)
    plain.start(video[0], labels[0])
    for number in range(1, 9):
        encoded = ahead.encode(video[number], encoded)
        log.clear()
        ahead.prepare(encoded)
        found = ahead.step(encoded)
        in_all = ["annotated", "relation", "read", *["closest"] * (number in (4, 7))]
        first = {1: ["relation"], 4: ["annotated", "relation", "closest"], 7: ["annotated", "relation", "closest"]}
        if number != 5:  # what was read ahead for it is of the bank before objects were added
            assert sorted(log) == sorted(in_all)
            assert log[: len(first.get(number, in_all))] == first.get(number, in_all)
        expected = plain.step(video[number])
        if number == 4:  # frame 5 then reads a bank with one frame more
            again = ahead.encode(video[5], encoded)
            ahead.prepare(again)
            for predictor, frame in ((ahead, encoded), (plain, video[4])):
                predictor.add_objects(frame, torch.where(labels[4] == 2, 9, 0))
            log.clear()
            again.read(ahead.bank.entries(precision))
            assert log == [], "nothing is memorised before the next step"
        assert torch.equal(found.label_map, expected.label_map)
        assert torch.equal(found.uncertainty, expected.uncertainty)
    assert all(torch.equal(a, b) for a, b in zip(ahead.state().values(), plain.state().values(), strict=True))


def test_when_its_step_begins_no_more_is_computed_ahead(log: list[str]) -> None:
    ahead, _ = predictors()
    video, labels = square_clip(3, (48, 64), (1, 2))
    encoded = begun(ahead, video, labels)
    for frame in video[1:]:
        encoded = ahead.encode(frame, encoded)
        if frame is video[1]:
            ahead.step(encoded)
    encoded = ahead.encode(video[2], encoded)
    encoded.wanted = True
    log.clear()
    ahead.prepare(encoded)
    assert log == []


def test_a_step_in_the_middle_takes_over_the_rest(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    ahead, plain = predictors()
    video, labels = square_clip(3, (48, 64), (1, 2))
    encoded = begun(ahead, video, labels)
    plain.start(video[0], labels[0])
    encoded = ahead.encode(video[1], encoded)
    ahead.step(encoded)
    plain.step(video[1])
    encoded = ahead.encode(video[2], encoded)
    read: Callable[..., object] = AnnotatedEntries.read

    def wanted_now(*arguments: object) -> object:
        encoded.wanted = True
        return read(*arguments)

    monkeypatch.setattr(AnnotatedEntries, "read", wanted_now)
    log.clear()
    ahead.prepare(encoded)
    assert log == ["annotated"]
    assert torch.equal(ahead.step(encoded).label_map, plain.step(video[2]).label_map)
