"""Probabilities of all classes, some rows at a time: of 1,000 objects, each map of all classes takes gigabytes.

Shape letters: B clips, K classes (background is class 0), h w working size.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Elements of a stripe; with few objects the frame is one.
MOST = 1 << 24


@torch.no_grad()
def softmax_of_classes(logits: Tensor, factor: float) -> Tensor:
    """Return the softmax over the classes of `factor` times logits, both (B,K,h,w); no gradient goes through it."""
    if logits.shape[1] == 2:  # noqa: PLR2004 - a function of the lead, much cheaper
        second = (logits[:, 1:] - logits[:, :1]).mul_(factor).sigmoid_()
        return torch.cat([1.0 - second, second], dim=1)
    probs = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
    for part, result in zip(_stripes(logits), _stripes(probs), strict=True):
        result.copy_((factor * part).softmax(dim=1))
    return probs


def largest_probabilities(logits: Tensor) -> Tensor:
    """Return the largest probability (K-1,) of each object, from logits (1,K,h,w) of the classes."""
    if logits.shape[1] == 2:  # noqa: PLR2004 - a probability then grows with the lead
        return (logits[0, 1:] - logits[0, :1]).amax(dim=(1, 2)).sigmoid()
    largest = [part[0].softmax(dim=0)[1:].amax(dim=(1, 2)) for part in _stripes(logits)]
    return torch.stack(largest).amax(dim=0)


def _stripes(x: Tensor) -> tuple[Tensor, ...]:
    """Cut (B,K,h,w) into stripes of rows."""
    parts: tuple[Tensor, ...] = x.split(max(1, MOST // x[:, :, 0].numel()), dim=2)
    return parts
