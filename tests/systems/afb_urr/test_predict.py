"""The predictor: what it keeps from frame to frame, and what may be computed ahead.

Covers: systems.afb_urr.newest
"""

import weakref
from dataclasses import replace

import pytest
import torch

from tests.systems.afb_urr import test_contract as contract
from tests.systems.afb_urr.test_contract import WIDTHS
from tests.systems.contracts.scenes import square_clip
from vossegcli.errors import ConfigError, InputError
from vossegcli.systems.afb_urr import model
from vossegcli.systems.afb_urr.config import COMPACT
from vossegcli.systems.afb_urr.feature_bank import FeatureBank
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.afb_urr.sight import agreement


def test_a_step_changes_neither_the_newest_frame_nor_what_it_memorises() -> None:
    torch.manual_seed(0)
    predictor = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    video, labels = square_clip(4, (48, 64), (1, 2))
    predictor.start(video[0], labels[0])
    predictor.step(video[1])
    newest = predictor._newest
    assert newest is not None
    before = {name: torch.as_tensor(getattr(newest, name)).clone() for name in ("frame", "key", "fine_key", "masks")}
    predictor.step(video[2])
    predictor.add_objects(video[2], torch.where(labels[2] == 2, 9, 0))
    predictor.step(video[3])
    assert not newest.memorised
    assert newest.index == 1
    assert all(torch.equal(before[name], getattr(newest, name)) for name in before)


def test_the_bank_changes_none_of_the_tensors_that_it_is_given() -> None:
    generator = torch.Generator().manual_seed(0)
    bank = FeatureBank(replace(COMPACT.bank, merge_threshold=0.0, budget=40), torch.device("cpu"))
    bank.add_classes(2, 4, 3)
    for frame in range(4):
        keys = torch.randn(2, 9, 4, generator=generator)
        values = torch.randn(2, 9, 3, generator=generator)
        queries = torch.randn(5, 4, generator=generator)
        before = keys.clone(), values.clone(), queries.clone()
        bank.update(keys, values, frame)
        bank.read(queries)
        assert torch.equal(keys, before[0])
        assert torch.equal(values, before[1])
        assert torch.equal(queries, before[2])


def test_agreement_is_the_overlap_with_what_the_annotated_frames_confirm() -> None:
    masks = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]])
    read = torch.tensor([[[1.0], [0.0], [1.0], [0.0]]])
    assert agreement(masks, masks, torch.ones(1, 4)).tolist() == [1.0]
    assert agreement(masks, read, torch.ones(1, 4)).tolist() == pytest.approx([1 / 3])
    unlike = torch.tensor([[0.5, -0.2, 1.0, 1.0]])
    assert agreement(masks, masks, unlike).tolist() == pytest.approx([0.25]), "cells that look like nothing known"


def test_sharpened_masks_enter_the_memory_and_the_answer_stays() -> None:
    torch.manual_seed(0)
    network = AFBURR(replace(COMPACT, **WIDTHS, memory_sharpness=1.0)).eval()
    sharp = AFBURR(replace(COMPACT, **WIDTHS, memory_sharpness=4.0)).eval()
    sharp.load_state_dict(network.state_dict())
    video, labels = square_clip(2, (48, 64), (1, 2))
    found, remembered = [], []
    for predictor in (AFBURRPredictor(network), AFBURRPredictor(sharp)):
        predictor.start(video[0], labels[0])
        found.append(predictor.step(video[1]))
        remembered.append(predictor.state()["newest.masks"])
    assert torch.equal(found[0].label_map, found[1].label_map)
    assert torch.allclose(remembered[1], (4.0 * remembered[0].log()).softmax(dim=1), atol=1e-4)
    with pytest.raises(ConfigError, match="memory_sharpness"):
        replace(COMPACT, memory_sharpness=0.0)


def test_masks_of_the_frame_before_are_gone_while_a_frame_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 objects they take gigabytes."""
    torch.manual_seed(0)
    predictor = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    video, labels = square_clip(3, (48, 64), (1, 2))
    predictor.start(video[0], labels[0])
    decode, alive = predictor.model.decode, []

    def watched(*arguments: object) -> torch.Tensor:
        alive.append(before() is not None)
        return decode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(predictor.model, "decode", watched)
    for frame in video[1:]:
        assert predictor._newest is not None
        before = weakref.ref(predictor._newest.masks)
        predictor.step(frame)
    assert alive == [False, False]


@pytest.mark.parametrize("part", ["encode_memory", "decode"])
def test_a_step_that_failed_is_told_and_start_begins_anew(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    torch.manual_seed(0)
    predictor = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    video, labels = square_clip(3, (48, 64), (1, 2))
    predictor.start(video[0], labels[0])
    expected = predictor.step(video[1])
    with monkeypatch.context() as patch:
        patch.setattr(predictor.model, part, out_of_memory)
        predictor.start(video[0], labels[0])
        with pytest.raises(torch.OutOfMemoryError):
            predictor.step(video[1])
    with pytest.raises(RuntimeError, match=r"a step has failed.*call start\(\) or load_state\(\)"):
        predictor.step(video[1])
    predictor.start(video[0], labels[0])
    assert torch.equal(predictor.step(video[1]).label_map, expected.label_map)


def test_a_frame_of_another_size_can_be_followed_by_the_right_one() -> None:
    torch.manual_seed(0)
    predictor = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    video, labels = square_clip(2, (48, 64), (1,))
    predictor.start(video[0], labels[0])
    with pytest.raises(InputError, match="unlike the frames before"):
        predictor.step(torch.rand(3, 32, 32))
    assert predictor.step(video[1]).label_map.shape == (48, 64)


@torch.inference_mode()
def test_classes_enter_the_memory_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    frame, masks = torch.rand(1, 3, 48, 64), torch.rand(1, 5, 48, 64)
    for config in (contract.TestCompact.config, contract.TestPublished.config):  # keys of the frame, and of each class
        network = AFBURR(config).eval()
        key, _ = network.encode_keys(frame)
        together = network.encode_memory(frame, masks, key)
        encoder, counts = network.encoder_m.forward, []

        def counted(frames: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
            counts.append(part.shape[1])  # noqa: B023
            return encoder(frames, part)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(network.encoder_m, "forward", counted)
            patch.setattr(model, "CLASSES_ENCODED_AT_ONCE", 2)
            found = network.encode_memory(frame, masks, key)
        assert counts == [2, 2, 1]
        assert torch.allclose(found.keys, together.keys, atol=1e-5)
        assert torch.allclose(found.values, together.values, atol=1e-5)
        assert found.keys.stride(1) == together.keys.stride(1), "keys of the frame are not copied"
