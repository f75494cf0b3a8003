"""A second look: prototypes of the image itself join those of the supports (an addition to the paper).

A thing looks more like its other parts than like things of its class elsewhere, and what is around it is mostly not
in any support. So what the first look is sure of shows what to look for (after Fan et al., Self-Support Few-Shot
Semantic Segmentation, ECCV 2022).

Shape letters: N experts, V vectors, P prototypes, C channels, h w cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.systems.fwb.prototypes import prototypes_of

#: Probabilities of the class from which on, and below which, a cell is trusted.
SURELY, SURELY_NOT = 0.7, 0.3
#: Sure cells of the class without which the first look stands.
FEWEST_CELLS = 6


def with_own_prototypes(vectors: Tensor, count: int, features: Tensor, probs: Tensor, around: int) -> Tensor | None:
    """Let prototypes of an image join those of the supports: one of the class, some of its surroundings.

    Args:
        vectors: (N,V,C) the class feature, `count` prototypes of the class, and those of its surroundings.
        count: prototypes of the class.
        features: (1,C,h,w) of the image.
        probs: (1,H,W) of the class, as found with these vectors, at any size (from refined outlines more is gained).
        around: prototypes of the image's surroundings.

    Returns:
        (N,V+1+around,C) likewise, with `count` + 1 prototypes of the class; None where too little is sure.
    """
    cells = features[0].flatten(1).T  # (h*w,C)
    height, width = features.shape[2:]
    of_class = F.adaptive_avg_pool2d(probs, (height, width)).flatten()  # (h*w,)
    inside = torch.where(of_class > SURELY, of_class, 0.0)
    outside = torch.where(of_class < SURELY_NOT, 1.0 - of_class, 0.0)
    if torch.stack([inside, outside]).count_nonzero(dim=1).amin() < FEWEST_CELLS:
        return None
    own, others = (
        prototypes_of(cells, share, number).expand(len(vectors), -1, -1)
        for share, number in ((inside, 1), (outside, around))
    )
    return torch.cat([vectors[:, : 1 + count], own, vectors[:, 1 + count :], others], dim=1)
