from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import vossegcli
from tests.documents.pages import ROOT
from vossegcli.errors import ConfigError
from vossegcli.ops.images import image_tensor
from vossegcli.systems.afb_urr.config import COMPACT, LocalityConfig
from vossegcli.systems.afb_urr.sight import FREE, HIDDEN, in_sight, likeness, nothing_like

CUT, NO_CUT = torch.tensor(True), torch.tensor(False)  # noqa: FBT003


def test_an_object_is_out_of_sight_from_a_cut_until_it_is_confirmed() -> None:
    sight = in_sight(2, torch.device("cpu")).after(NO_CUT, torch.tensor([0.8, 0.2]))
    assert sight.lost.tolist() == [0.0, 0.0]
    away = sight.after(CUT, torch.tensor([0.39, 0.02]))
    assert away.lost.tolist() == pytest.approx([0.8, 0.2]), "less than half of what it was, and nearly nothing"
    still = away.after(NO_CUT, torch.tensor([0.3, 0.11]))
    assert still.lost.tolist() == pytest.approx([0.8, 0.0]), "the second is back"
    assert still.agreement.tolist() == pytest.approx([0.8, 0.11]), "what is out of sight keeps what it had"
    again = still.after(CUT, torch.tensor([0.1, 0.01]))
    assert again.lost.tolist() == pytest.approx([0.8, 0.11]), "a second cut does not lower the bar"


def test_an_object_that_agrees_after_a_cut_stays() -> None:
    assert in_sight(1, torch.device("cpu")).after(CUT, torch.tensor([0.3])).lost.tolist() == [0.0]


def test_marked_objects_are_in_sight() -> None:
    sight = in_sight(2, torch.device("cpu")).after(CUT, torch.tensor([0.0, 0.0]))
    marked = sight.with_marked([1, 2], 3)
    assert marked.lost.tolist() == pytest.approx([0.5, 0.0, 0.0])


def test_only_objects_out_of_sight_are_hidden() -> None:
    sight = in_sight(2, torch.device("cpu")).after(CUT, torch.tensor([0.4, 0.0]))
    logits = torch.ones(1, 3, 2, 2)
    assert sight.hide(logits)[0, :, 0, 0].tolist() == [1.0, 1.0, HIDDEN]


def masks_at(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    """Masks (1,K,30,40) at stride 4 of objects with the given first and last rows and columns."""
    masks = torch.zeros(1, len(boxes) + 1, 30, 40)
    for k, (top, bottom, left, right) in enumerate(boxes, start=1):
        masks[0, k, top : bottom + 1, left : right + 1] = 1.0
    masks[:, 0] = 1.0 - masks[:, 1:].amax(dim=1)
    return masks


def found(count: int = 1) -> torch.Tensor:
    """Log odds (1,K,120,160) in which objects are found everywhere."""
    return torch.cat([torch.zeros(1, 1, 120, 160), torch.ones(1, count, 120, 160)], dim=1)


def places(logits: torch.Tensor) -> list[int]:
    """First and last row and column where an object can be."""
    rows, columns = (logits > HIDDEN).nonzero().unbind(dim=1)
    return [int(x) for x in (rows.min(), rows.max(), columns.min(), columns.max())]


def test_an_object_that_is_held_does_not_jump() -> None:
    masks = masks_at((10, 12, 10, 14), (0, 0, 0, 0))  # pixels 40 to 51 and 40 to 59, and a corner
    sight = in_sight(2, torch.device("cpu")).covering(masks)
    logits = sight.keep_near(found(2), masks, 0.5)
    margin = 10 + FREE
    assert places(logits[0, 1]) == [40 - margin, 51 + margin, 40 - margin, 59 + margin]
    assert places(logits[0, 2]) == [0, 3 + 2 + FREE, 0, 3 + 2 + FREE]
    assert torch.equal(logits[:, 0], torch.zeros(1, 120, 160)), "background can be anywhere"
    assert torch.equal(sight.keep_near(found(2), masks, 0.0), found(2))


def test_an_object_that_is_hidden_may_come_back_anywhere() -> None:
    before = masks_at((10, 12, 10, 14))
    hidden = nothing_like(before)
    sight = in_sight(1, torch.device("cpu")).covering(before).covering(hidden)
    assert sight.area.tolist() == [15.0], "what is hidden keeps its area"
    assert places(sight.keep_near(found(), hidden, 0.5)[0, 1]) == [0, 119, 0, 159]


def test_an_object_that_jumps_is_followed() -> None:
    """Where most of it is not found near where it was, as in a film of few frames a second, it may be anywhere."""
    before = masks_at((10, 12, 10, 14))
    sight = in_sight(1, torch.device("cpu")).covering(before)
    jumped = found()
    jumped[0, 1, :90] = -2.0
    assert torch.equal(sight.keep_near(jumped, before, 0.5), jumped)
    jumped[0, 1, 40:48, 40:60] = 2.0  # 10 of 15 cells are still there: what lies beneath is something else
    assert places(sight.keep_near(jumped, before, 0.5)[0, 1])[1] < 90


def test_a_given_mask_counts_from_the_start() -> None:
    large = in_sight(1, torch.device("cpu")).covering(masks_at((0, 29, 0, 39)))
    both = masks_at((10, 12, 10, 14), (20, 21, 20, 21))
    assert large.with_marked([0, 1], 2).covering(both).area.tolist() == [15.0, 4.0]


def test_likeness_knows_what_moved() -> None:
    keys = torch.randn(16, 4, 5, generator=torch.Generator().manual_seed(0))
    assert float(likeness(keys, keys.roll(2, dims=2))) == pytest.approx(1.0)
    assert float(likeness(keys, torch.randn(16, 4, 5, generator=torch.Generator().manual_seed(1)))) < 0.8


def test_nothing_is_background() -> None:
    assert nothing_like(torch.rand(1, 3, 2, 2))[0, :, 1, 1].tolist() == [1.0, 0.0, 0.0]


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="cut_similarity"):
        replace(COMPACT, cut_similarity=1.5)
    with pytest.raises(ConfigError, match="annotated_read"):
        replace(COMPACT, annotated_read=False)
    with pytest.raises(ConfigError, match="reach"):
        replace(COMPACT, locality=LocalityConfig(reach=-0.5))


def _picture(path: str) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(ROOT / path).convert("RGB").resize((320, 180), Image.Resampling.BOX))


def test_the_embedded_network_paints_nothing_in_another_scene_and_finds_the_object_again() -> None:
    frames = [_picture(f"examples/bunny/frames/{i:05}.jpg") for i in range(3)]
    mask = Image.open(ROOT / "examples/bunny/masks/00000.png").resize((320, 180), Image.Resampling.NEAREST)
    other = _picture("examples/boards/photos/01.jpg")
    predictor = vossegcli.load_predictor("propagate", device="cpu", size=180)
    predictor.start(image_tensor(frames[0]), torch.from_numpy(np.array(mask)).long())
    shown = [predictor.step(image_tensor(frames[1]))]
    away = [predictor.step(image_tensor(other)) for _ in range(2)]
    predictor.load_state(predictor.state())
    away.append(predictor.step(image_tensor(other)))
    shown.append(predictor.step(image_tensor(frames[2])))
    assert not any((segmentation.label_map > 0).any() for segmentation in away)
    before, back = (segmentation.label_map > 0 for segmentation in shown)
    assert float((before & back).sum() / (before | back).sum()) > 0.85
