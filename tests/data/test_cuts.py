from __future__ import annotations

import torch

from vossegcli.data.cuts import ELSEWHERE, with_cuts
from vossegcli.samples import ClipSamples, Correspondences

BATCH, FRAMES = 40, 5


def clips(batch: int = BATCH, frames: int = FRAMES) -> ClipSamples:
    """Clip b is grey b everywhere; its object is everywhere too."""
    number = torch.arange(batch)
    cells = Correspondences(
        number.view(-1, 1, 1, 1, 1).expand(batch, frames, 2, 2, 2).float(),
        torch.zeros(batch, frames, 2, 2, dtype=torch.int64),
    )
    grey = number.view(-1, 1, 1, 1, 1).expand(batch, frames, 3, 8, 8).float()
    return ClipSamples(grey, torch.ones(batch, frames, 8, 8, dtype=torch.int64), cells, cells, 2)


def test_a_cut_clip_ends_with_the_next_one_and_without_objects() -> None:
    cut = with_cuts(clips(), 0.5, torch.Generator().manual_seed(0))
    changed = (cut.labels == 0).flatten(2).all(dim=2)  # (B,T)
    assert not changed[:, :2].any()
    assert 0.2 < float(changed[:, -1].float().mean()) < 0.8
    assert bool((changed[:, 1:].long() >= changed[:, :-1].long()).all()), "once cut, it stays"
    assert len({int(row.sum()) for row in changed}) > 2, "at different frames"
    following = (torch.arange(BATCH) + 1) % BATCH
    for b in range(BATCH):
        for t in range(FRAMES):
            shown = int(following[b]) if changed[b, t] else b
            assert bool((cut.frames[b, t] == shown).all())
            assert bool((cut.coarse.coordinates[b, t] == shown).all())
            assert bool((cut.fine.textures[b, t] == (ELSEWHERE if changed[b, t] else 0)).all())
            assert bool((cut.labels[b, t] == (0 if changed[b, t] else 1)).all())


def test_no_share_no_second_clip_no_third_frame_no_cut() -> None:
    for whole, share in ((clips(), 0.0), (clips(1), 1.0), (clips(4, 2), 1.0)):
        cut = with_cuts(whole, share, torch.Generator().manual_seed(0))
        assert torch.equal(cut.frames, whole.frames)
        assert torch.equal(cut.labels, whole.labels)
