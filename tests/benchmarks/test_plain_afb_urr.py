"""The benchmark's baseline against stored results of the published program (masks, logits, bank)."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vossegcli.systems.afb_urr.config import PUBLISHED
from vossegcli.systems.afb_urr.model import AFBURR

REPOSITORY = Path(__file__).parents[2]
PARITY = Path(os.environ.get("VOSSEG_SHARED", REPOSITORY.parent / "shared")) / "parity"
STEPS = 2  # a memory of one frame, and of two

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not (PARITY / "afb_urr_seed1.npz").is_file(), reason="no parity material in $VOSSEG_SHARED"),
]


def test_plain_order_gives_the_published_results(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    monkeypatch.syspath_prepend(PARITY)
    plain, rule = (importlib.import_module(name) for name in ("plain_afb_urr", "weights_rule"))
    stored = np.load(PARITY / "afb_urr_seed1.npz")
    model = AFBURR(PUBLISHED).eval()
    model.load_state_dict(rule.fill(model.state_dict(), 1))
    frames = torch.from_numpy(stored["frames"]).permute(0, 3, 1, 2).float() / 255.0
    first = torch.from_numpy(stored["first_mask"].astype(np.int64))
    masks = torch.stack([first == i for i in range(int(first.max()) + 1)]).float()
    run = plain.PlainPropagation(model)
    run.start(frames[0], masks)
    for t in range(1, STEPS + 1):
        sizes = [memory.keys.shape[0] for memory in run.bank]
        assert sizes == stored["bank_sizes"][t - 1].tolist()
        logits, probs = run.step(frames[t])
        agreement = float((logits.argmax(dim=0).numpy() == stored["masks"][t - 1]).mean())
        assert agreement > 0.9999
        expected = stored["logits"][t - 1].astype(np.float32)
        sure = np.abs(expected) < 16.0  # beyond, the clamp of the probability decides
        near = np.abs(logits[:, ::2, ::2].numpy() - expected)[sure] <= 0.02
        assert float(near.mean()) > 0.9999
        run.remember(frames[t], probs)
