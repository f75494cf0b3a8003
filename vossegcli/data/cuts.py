"""Scene cuts in synthetic clips: from some frame on, another clip of the batch, where the objects are not.

Shape letters: B clips, T frames, H W pixels, h w cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vossegcli.samples import ClipSamples, Correspondences

ELSEWHERE = 1000  # added to the numbers of another clip's textures, which are none of this clip's


def with_cuts(clips: ClipSamples, share: float, generator: torch.Generator) -> ClipSamples:
    """Replace the end of some clips by frames of the next clip of the batch, with no object.

    Args:
        clips: at least two, or nothing changes; the first two frames always stay.
        share: of the clips that are cut.
        generator: source of randomness on the clips' device.
    """
    batch, frames = clips.labels.shape[:2]
    device = clips.labels.device
    drawn = torch.rand(2, batch, generator=generator, device=device)
    if batch < 2 or frames < 3:
        return clips
    start = 2 + (drawn[1] * (frames - 2)).long()  # (B,)
    after = torch.arange(frames, device=device) >= start[:, None]  # (B,T)
    cut = after & (drawn[0] < share)[:, None]

    def replaced(own: Tensor, other: Tensor) -> Tensor:
        return torch.where(cut.view(batch, frames, *[1] * (own.dim() - 2)), other, own)

    def correspondences(own: Correspondences) -> Correspondences:
        return Correspondences(
            replaced(own.coordinates, own.coordinates.roll(-1, 0)),
            replaced(own.textures, own.textures.roll(-1, 0) + ELSEWHERE),
        )

    return ClipSamples(
        replaced(clips.frames, clips.frames.roll(-1, 0)),
        replaced(clips.labels, torch.zeros_like(clips.labels)),
        correspondences(clips.coarse),
        correspondences(clips.fine),
        clips.classes,
    )
