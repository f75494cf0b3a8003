"""What a video's memory learns from a frame."""

from dataclasses import replace

import torch

from tests.systems.afb_urr.test_contract import WIDTHS
from tests.systems.afb_urr.test_growth import squares
from tests.systems.contracts.scenes import square_clip
from vossegcli.ops.pooling import masks_at_stride4
from vossegcli.systems.afb_urr.config import COMPACT
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.afb_urr.target_model import TargetModel


def test_the_memory_takes_in_what_has_grown_and_a_run_goes_on_with_it() -> None:
    torch.manual_seed(0)
    video, labels = square_clip(6, (64, 96), (1, 2))
    predictor = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    predictor.start(video[0], labels[0])
    predictor.step(video[1])
    before = predictor.bank.sizes
    newest = predictor._newest
    assert newest is not None
    assert newest.target is not None
    assert newest.target.frames == 2, "the annotated frame and its mirror image"
    masks = squares(60, 6)  # as if the first object had come near
    predictor._newest = replace(newest, masks=masks, index=newest.index + 2)
    predictor.step(video[2])
    assert predictor._newest.target is not None
    assert predictor._newest.target.frames == 2.5, "one view of one of two objects"
    cells = newest.key[0, 0].numel()
    assert all(after >= size + cells for after, size in zip(predictor.bank.sizes, before, strict=True))
    assert all(int(bank.protected[: bank.size].sum()) == 2 * cells for bank in predictor.bank.banks)
    other = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    other.model.load_state_dict(predictor.model.state_dict())
    other.load_state(predictor.state())
    for frame in video[3:]:
        assert torch.equal(predictor.step(frame).label_map, other.step(frame).label_map)


@torch.inference_mode()
def test_the_target_model_knows_the_mirror_image_of_an_annotated_frame() -> None:
    torch.manual_seed(0)
    video, labels = square_clip(1, (64, 96), (1,))
    predictor = AFBURRPredictor(AFBURR(replace(COMPACT, **WIDTHS)).eval())
    predictor.start(video[0], labels[0])
    predictor.state()  # which memorises it
    newest = predictor._newest
    assert newest is not None
    assert newest.target is not None
    assert newest.stages is not None
    alone = TargetModel(newest.target.config).learned(newest.stages, newest.masks, 0, annotated=True)
    mirrored = predictor.encode(video[0].flip(2)).query.stages
    assert mirrored is not None
    truth = masks_at_stride4(newest.masks.flip(3))
    wrong = [float((target.score(mirrored) - truth).square().mean()) for target in (alone, newest.target)]
    assert wrong[1] < 0.7 * wrong[0]
