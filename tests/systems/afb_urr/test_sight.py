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
from vossegcli.systems.afb_urr.config import COMPACT
from vossegcli.systems.afb_urr.sight import HIDDEN, in_sight, likeness, nothing_like

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
