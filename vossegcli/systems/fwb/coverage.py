"""Parts of a class that have no match in an image: a sign that the class is not there (an addition to the paper).

What is found in an image looks like some part of the class, or it would not be found. Where the class is absent, the
other parts have no match. So here the cells of the supports are looked for among what was found, not the other way.

Shape letters: K supports, S cells of a support, B images, P vectors, C channels, G groups of channels, n cells, H W
pixels, h w cells at stride 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.systems.fwb.own_prototypes import SURELY
from vossegcli.systems.fwb.prototypes import clear_share, squared_distances

#: Cells of the class, of all supports together, and of an image that are compared at most.
CLASS_CELLS, FOUND_CELLS = 256, 256
#: As many of the likeliest cells count as found, however unlikely they are.
FEWEST_CELLS = 12
#: Share of the class, the part that is matched worst, that counts.
WORST = 0.5


def class_cells(features: Tensor, inside: Tensor) -> Tensor:
    """Pick cells (K,S,C) of the class in each support, evenly spaced, some twice where there are fewer than S.

    Args:
        features: (K,C,h,w).
        inside: (K,h,w) share of each cell that is the class.
    """
    count = math.ceil(CLASS_CELLS / len(features))
    places = torch.arange(count, device=features.device)
    picked = []
    for own, share in zip(features.flatten(2), inside.flatten(1), strict=True):
        counted = clear_share(share).nonzero()[:, 0]
        picked.append(own[:, counted[places * len(counted) // count]].T)
    return torch.stack(picked)


def missing_parts(shown: Tensor, features: Tensor, probs: Tensor, groups: Sequence[int]) -> Tensor:
    """Measure how far the parts of a class are from what was found in images.

    Args:
        shown: (K,S,C) from `class_cells`.
        features: (B,C,h,w) of the images.
        probs: (B,H,W) of the class, as found, at any size.
        groups: channels of each part of the features that is compared; further channels are left out.

    Returns:
        (B,): distance from a cell of the class to the nearest that was found, averaged over the groups and over the
        half of the class that is matched worst, for the support that is matched best.
    """
    cells = features.flatten(2)  # (B,C,h*w)
    height, width = features.shape[2:]
    at_cells = F.adaptive_avg_pool2d(probs, (height, width)).flatten(1)
    likeliest = at_cells.topk(min(FOUND_CELLS, cells.shape[2]))  # (B,n)
    least = likeliest.values[:, :FEWEST_CELLS].amin(dim=1, keepdim=True)
    found = likeliest.values >= least.clamp_max(SURELY)
    chosen = cells.gather(2, likeliest.indices.unsqueeze(1).expand(-1, cells.shape[1], -1))  # (B,C,n)
    apart = _distances(shown.flatten(0, 1), chosen, groups)  # (B,G,K*S,n)
    nearest = apart.masked_fill(~found[:, None, None], torch.inf).amin(dim=3).mean(dim=1)
    of_supports = nearest.unflatten(1, shown.shape[:2])  # (B,K,S)
    worst = of_supports.topk(math.ceil(WORST * shown.shape[1]), dim=2).values
    best: Tensor = worst.mean(dim=2).amin(dim=1)
    return best


def _distances(vectors: Tensor, cells: Tensor, groups: Sequence[int]) -> Tensor:
    """Distances of vectors (P,C) to cells (B,C,n) in each group of channels: (B,G,P,n)."""
    compared = sum(groups)
    parts = zip(
        vectors[:, :compared].split(list(groups), dim=1), cells[:, :compared].split(list(groups), dim=1), strict=True
    )
    with torch.autocast(cells.device.type, enabled=False):  # differences of distances are small
        squares = [squared_distances(part.unsqueeze(0), own.unsqueeze(3))[:, 0, :, :, 0] for part, own in parts]
        return torch.stack(squares, dim=1).sqrt()
