"""Golden outputs of the published code under weights that follow a rule (shared material)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from vossegcli.ops.padding import centred_padding, unpad
from vossegcli.systems.afb_urr import predict
from vossegcli.systems.afb_urr.config import PUBLISHED
from vossegcli.systems.afb_urr.feature_bank import FeatureBank
from vossegcli.systems.afb_urr.model import AFBURR

pytestmark = pytest.mark.shared
CLAMPED = 16.0  # log odds of 1 - 1e-7 are 16.1


@pytest.fixture(scope="module")
def network(parity: Path) -> AFBURR:
    spec = importlib.util.spec_from_file_location("weights_rule", parity / "weights_rule.py")
    assert spec is not None and spec.loader is not None
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    network = AFBURR(PUBLISHED).eval()
    network.load_state_dict(rule.fill(network.state_dict(), seed=1))
    return network


@pytest.fixture(scope="module")
def parity(shared: Path) -> Path:
    return shared / "parity"


def test_names_and_shapes_are_the_published_ones(parity: Path) -> None:
    published = json.loads((parity / "afb_urr_state_dict.json").read_text(encoding="utf-8"))
    ours = {name: list(value.shape) for name, value in AFBURR(PUBLISHED).state_dict().items()}
    assert ours == published
    assert len(ours) == 562


class Segmented(NamedTuple):
    """The golden clip, segmented: of every frame after the first the padded logits, label map and bank sizes."""

    logits: list[torch.Tensor]
    label_maps: list[np.ndarray]
    sizes: list[tuple[int, ...]]
    bank: FeatureBank


@pytest.fixture(scope="module")
def segmented(network: AFBURR, parity: Path) -> Segmented:
    golden = np.load(parity / "afb_urr_seed1.npz")
    frames = torch.from_numpy(golden["frames"]).permute(0, 3, 1, 2).float() / 255
    predictor = predict.AFBURRPredictor(network, short_side=None)
    found = Segmented([], [], [], predictor.bank)
    decode = predictor.model.decode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor.model, "decode", lambda *a: found.logits.append(decode(*a)) or found.logits[-1])
        predictor.start(frames[0], torch.from_numpy(golden["first_mask"].astype(np.int64)))
        for frame in frames[1:]:
            found.label_maps.append(predictor.step(frame).label_map.numpy())
            found.sizes.append(predictor.bank.sizes)
    return found._replace(bank=predictor.bank)


def test_predictor_gives_the_published_logits_masks_and_bank(segmented: Segmented, parity: Path) -> None:
    golden = np.load(parity / "afb_urr_seed1.npz")
    padding = centred_padding(*golden["first_mask"].shape, 16)
    near = agreeing = counted = 0
    assert len(segmented.label_maps) == len(golden["frames"]) - 1 > 0
    for t, label_map in enumerate(segmented.label_maps, start=1):
        expected = golden["logits"][t - 1].astype(np.float32)
        found = unpad(segmented.logits[t - 1], padding)[0, :, ::2, ::2].numpy()
        free = np.abs(expected) < CLAMPED
        near += int((np.abs(found - expected)[free] <= 0.02).sum())
        counted += int(free.sum())
        agreeing += int((label_map == golden["masks"][t - 1]).sum())
        assert np.abs(np.array(segmented.sizes[t - 1]) - golden["bank_sizes"][t - 1]).max() <= 1
    assert near / counted >= 0.999
    assert agreeing / golden["masks"].size >= 0.995
    assert counted > 0.5 * golden["logits"].size


def test_usage_counters_are_the_published_ones(segmented: Segmented, parity: Path) -> None:
    golden = np.load(parity / "afb_urr_seed1.npz")
    assert segmented.bank.banks
    for k, bank in enumerate(segmented.bank.banks):
        usage = bank.usage[: bank.size].numpy()
        np.testing.assert_allclose(usage, golden[f"usage_{k}"], atol=0.2)
