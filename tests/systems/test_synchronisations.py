"""How often the host waits for the device in the path of a frame; each wait on a GPU costs what it could compute.

The numbers are those of today: a change that needs more has to say why.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from tests.synchronisations import Synchronisations
from vossegcli.runners.propagate.segment import _off_the_device
from vossegcli.systems.afb_urr import native_size, window
from vossegcli.systems.afb_urr.model import AFBURR
from vossegcli.systems.afb_urr.predict import AFBURRPredictor
from vossegcli.systems.b2inst.config import B2InstConfig
from vossegcli.systems.b2inst.model import B2Inst
from vossegcli.systems.b2inst.predict import B2InstPredictor
from vossegcli.systems.base import Segmentation
from vossegcli.systems.fwb.config import FWBConfig
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.predict import FWBPredictor


def test_what_is_counted() -> None:
    values = torch.arange(6.0)
    with Synchronisations() as waits:
        values.sum()
        values.to(torch.int32)
        values[torch.tensor([1, 2])]
    assert waits.count == 0
    with Synchronisations() as waits:
        float(values[0])
        bool((values > 1).any())
        values[values > 2]
        values.nonzero()
        values.cpu()
        values.tolist()
        values.unique()
        torch.equal(values, values)
    assert waits.count == 8, waits.found


@pytest.mark.parametrize("objects", [1, 4])
def test_propagate(monkeypatch: pytest.MonkeyPatch, objects: int) -> None:
    """Between memorised frames nothing waits; taking a frame into the memory does, for each class."""
    monkeypatch.setattr(native_size, "skips_clear_parts", lambda _: False)
    monkeypatch.setattr(window, "works_in_parts", lambda _: False)
    torch.manual_seed(0)
    predictor = AFBURRPredictor(AFBURR(replace(TINY, decode_near=0.1)), short_side=48)
    labels = torch.zeros(96, 128, dtype=torch.int32)
    for k in range(objects):
        labels[20 * k : 20 * k + 15, 10:60] = k + 1
    frames = torch.randint(0, 255, (12, 3, 96, 128), dtype=torch.uint8)
    predictor.start(frames[0], labels)
    counts = []
    for frame in frames[1:]:
        with Synchronisations() as waits:
            predictor.step(frame)
        counts.append(waits.count)
    steady = counts[3:]
    classes = objects + 1
    assert min(steady) == 0, counts
    assert max(steady) <= 2 + 4 * classes, counts
    assert sum(count > 0 for count in steady) <= len(steady) / TINY.bank.memory_every + 1, counts


def test_what_is_written_of_a_frame_is_fetched_with_two_waits() -> None:
    found = Segmentation(torch.ones(8, 9, dtype=torch.int32), *torch.rand(3, 2).unbind(), object_probs=())
    item = SimpleNamespace(probabilities=False, mattes=False)
    way = SimpleNamespace(decided=lambda ids, _: ids, only=None)
    with Synchronisations() as waits:
        result = _off_the_device(item, way, 3, "00003", (1, 7), found, frozenset())
    assert waits.found == {"cpu": 1, "tolist": 1}
    assert result.label_map.dtype == np.uint8


def test_instance() -> None:
    config = B2InstConfig(
        classes=2, stem=8, planes=(8, 8, 16, 16), depths=(1, 1, 1, 1), stride_in_1x1=False,
        channels=16, tower=1, groups=4, basis_channels=8, basis_convs=1, attention=4, resolution=8,
        scoring_channels=8, scoring_hidden=16, short_side=64, top_k=8,
    )  # fmt: skip
    torch.manual_seed(0)
    predictor = B2InstPredictor(B2Inst(config), score_threshold=0.0)
    for batch in (1, 3):
        with Synchronisations() as waits:
            predictor.predict(torch.rand(batch, 3, 64, 64))
        # 5 levels of candidates, 5 of attention, 11 in torchvision's pooling for the scores of masks, 2 for their size
        assert waits.count <= 24 * batch, waits.found


@pytest.mark.parametrize("own_surroundings", [0, 4])
def test_fewshot(own_surroundings: int) -> None:
    config = FWBConfig(
        "efficientnet_lite0", projected=8, head_channels=16, prototypes=2, own_surroundings=own_surroundings, steps=3,
        short_side=64, coverage=1.0,
    )  # fmt: skip
    torch.manual_seed(0)
    predictor = FWBPredictor(FWB(config))
    mask = torch.zeros(64, 64)
    mask[10:40, 20:50] = 1.0
    predictor.fit([torch.rand(3, 64, 64)], [mask])
    with Synchronisations() as waits:
        predictor.predict(torch.rand(2, 3, 64, 64))
    # An image's own prototypes: are there enough cells, which are they, and the draws of the seeds (on the host).
    assert waits.count <= 5 * 2 * bool(own_surroundings), waits.found
