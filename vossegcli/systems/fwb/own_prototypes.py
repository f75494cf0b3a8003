"""A second look: prototypes of the image itself join those of the supports (an addition to the paper).

A thing looks more like its other parts than like things of its class elsewhere, and what is around it is mostly not
in any support. So what the first look is sure of shows what to look for (after Fan et al., Self-Support Few-Shot
Semantic Segmentation, ECCV 2022).

Shape letters: C channels, H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.systems.fwb.prototypes import Comparison, nearest_prototypes, prototypes_of

#: Probabilities of the class from which on, and below which, a cell is trusted.
SURELY, SURELY_NOT = 0.7, 0.3
#: Sure cells of the class without which the first look stands.
FEWEST_CELLS = 6


def compare_again(
    compared: Comparison, features: Tensor, probs: Tensor, around: int, groups: Sequence[int]
) -> Comparison | None:
    """Let prototypes of an image join those of the supports: one of the class, some of its surroundings.

    Args:
        compared: the image as it compares with the supports.
        features: (1,C,h,w) of the image.
        probs: (1,H,W) of the class, as found at the first look, at any size (from refined outlines more is gained).
        around: prototypes of the image's surroundings.
        groups: channels of each part of the features.

    Returns:
        How it compares with both; None where too little is sure.
    """
    own = own_prototypes(features, probs, around)
    if own is None:
        return None
    near, far = nearest_prototypes(own.unsqueeze(0), features, 1, groups)
    return Comparison(compared.cosine, torch.minimum(compared.near, near), torch.minimum(compared.far, far))


def own_prototypes(features: Tensor, probs: Tensor, around: int) -> Tensor | None:
    """Find prototypes (1+around,C) of the class and of the surroundings in an image; arguments as above."""
    cells = features[0].flatten(1).T  # (h*w,C)
    height, width = features.shape[2:]
    of_class = F.adaptive_avg_pool2d(probs, (height, width)).flatten()  # (h*w,)
    inside = torch.where(of_class > SURELY, of_class, 0.0)
    outside = torch.where(of_class < SURELY_NOT, 1.0 - of_class, 0.0)
    if torch.stack([inside, outside]).count_nonzero(dim=1).amin() < FEWEST_CELLS:
        return None
    return torch.cat([prototypes_of(cells, inside, 1), prototypes_of(cells, outside, around)])
