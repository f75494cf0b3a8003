"""From logits at the working size to labels at native size, some rows at a time.

A frame of 3840x2160 has 8 million pixels: probabilities of 20 objects would take 660 MiB, and more time than the
network. So rows are enlarged, compared and dropped; probabilities are computed for an object when they are asked for.

Shape letters: K classes (background is class 0), h w working size, H W native pixels, r rows of a stripe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.resize import Size, resize_smooth, row_weights, size_of

#: Rows of a stripe: enough for a matrix product, few enough for a cache.
ROWS = {"cpu": 32}
ROWS_ELSEWHERE = 1024
#: Where the best class leads by as much, the uncertainty `exp(1 - exp(lead))` is 0 in float32.
CLEAR_LEAD = 5.0


class NativeLabels(NamedTuple):
    """Labels at native size, and what each class wins."""

    label_map: Tensor  # (H,W) int32 ids
    area: Tensor  # (K,) pixels
    uncertainty: Tensor  # (K,) sum over these pixels


def best_of_classes(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best class (int32) and its lead over the second, each (h,w), of (K,h,w) over K >= 2.

    Logits of two classes may be given as the second one's lead over the first, (1,h,w).
    """
    if logits.shape[0] == 1:
        return (logits[0] > 0.0).to(torch.int32), logits[0].abs()
    first, second = torch.maximum(logits[0], logits[1]), torch.minimum(logits[0], logits[1])
    classes = (logits[1] > logits[0]).to(torch.int32)
    for k, other in enumerate(logits[2:], start=2):  # a running comparison: cheaper than topk over an outer axis
        classes.masked_fill_(other > first, k)
        second = torch.maximum(second, torch.minimum(first, other))
        first = torch.maximum(first, other)
    return classes, first - second


def skips_clear_parts(device: torch.device) -> bool:
    """Return True where looking for clear parts pays: a GPU computes all faster than it tells where they are."""
    return device.type == "cpu"


@lru_cache(maxsize=8)
def _weights_on(device: torch.device, height: int, small: int) -> tuple[list[int], Tensor]:
    """The weights of rows on a device, which the frames of a video share."""
    with torch.inference_mode(mode=False):
        above, weights = row_weights(height, small)
        return above, weights.to(device)


def native_labels(logits: Tensor, native: Size, ids: Sequence[int]) -> NativeLabels:
    """Enlarge logits and give each pixel the id of its best class.

    On a CPU, stretches of a stripe where one class leads clearly in all corners are not computed: it leads between
    them too, for the logits there are weighted means.

    Args:
        logits: (K,h,w) float32.
        native: (H,W).
        ids: object ids of classes 1, 2, ...
    """
    device = logits.device
    classes = logits.shape[0]
    result = NativeLabels(
        torch.empty(native, dtype=torch.int32, device=device),
        torch.zeros(classes, dtype=torch.int64, device=device),
        torch.zeros(classes, device=device),
    )
    if classes == 2:  # noqa: PLR2004 - one map is enough
        logits = logits[1:] - logits[:1]
    table = torch.tensor([0, *ids], dtype=torch.int32).to(device, non_blocking=True)
    if size_of(logits) == native:
        _decide(logits, result.label_map, result, table)
        return result
    skips = skips_clear_parts(device)
    winners, unclear = _where_unclear(logits) if skips else (torch.empty(0), torch.empty(0))
    above, weights = _weights_on(device, native[0], logits.shape[1])
    height = ROWS.get(device.type, ROWS_ELSEWHERE)
    for top in range(0, native[0], height):
        bottom = min(top + height, native[0])
        low, high = above[top], min(above[bottom - 1] + 2, logits.shape[1])
        left, right = 0, native[1]
        if skips:
            left, right = _columns(unclear[low:high].any(dim=0), native[1])
            for beside, column in ((slice(0, left), 0), (slice(right, None), -1)):
                _fill(result, result.label_map[top:bottom, beside], int(winners[low, column]), table)
        if right > left:
            rows = logits[:, low:high]
            part = _enlarged(rows, weights[top:bottom, low:high], native[1], slice(left, right))
            _decide(part, result.label_map[top:bottom, left:right], result, table)
    return result


def _where_unclear(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The best classes (h,w), and where a neighbour has another or the lead is small (h,w)."""
    classes, lead = best_of_classes(logits)
    low, high = _of_neighbours(classes, torch.minimum), _of_neighbours(classes, torch.maximum)
    small = ~(lead > CLEAR_LEAD)  # also where it is no number
    return classes, (low != high) | _of_neighbours(small, torch.logical_or)


def _of_neighbours(x: Tensor, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine each value of (h,w) with its up to 8 neighbours; much faster than pooling on a CPU."""
    for axis in (0, 1):
        beside = x.shape[axis] - 1
        combined = x.clone()
        for here, there in ((0, 1), (1, 0)):
            part = combined.narrow(axis, here, beside)
            part.copy_(combine(part, x.narrow(axis, there, beside)))
        x = combined
    return x


def _columns(unclear: Tensor, width: int) -> tuple[int, int]:
    """The native columns between the first and the last that depend on unclear cells (w,)."""
    places = unclear.nonzero()[:, 0]
    if not len(places):
        return width, width
    scale = width / unclear.shape[0]
    return max(0, int((int(places[0]) - 1) * scale)), min(width, int((int(places[-1]) + 2) * scale) + 1)


def _enlarged(logits: Tensor, weights: Tensor, width: int, columns: slice) -> Tensor:
    """Enlarge rows of logits (K,n,w) to some columns of (K,r,W); weights are (r,n)."""
    wide = F.interpolate(logits[None], size=(logits.shape[1], width), mode="bilinear", align_corners=False)[0]
    return torch.matmul(weights, wide[..., columns])


def _decide(logits: Tensor, label_map: Tensor, result: NativeLabels, table: Tensor) -> None:
    """Write the ids of the best classes of (K,r,c) into a part of the label map (r,c), and count them."""
    classes, lead = best_of_classes(logits)
    flat = classes.flatten()
    unsure = torch.exp(1.0 - torch.exp(lead)).flatten()
    result.area.index_add_(0, flat, torch.ones((), dtype=torch.int64, device=flat.device).expand_as(flat))
    result.uncertainty.index_add_(0, flat, unsure)
    label_map.copy_(table.index_select(0, flat).view_as(classes))


def _fill(result: NativeLabels, part: Tensor, winner: int, table: Tensor) -> None:
    """Give a part of the label map to one class, which is certain."""
    if part.numel():
        part.fill_(int(table[winner]))
        result.area[winner] += part.numel()


class NativeProbabilities:
    """Probabilities of the objects at native size, one at a time.

    Args:
        logits: (1,K,h,w) float32.
        native: (H,W).
    """

    def __init__(self, logits: Tensor, native: Size) -> None:
        self._logits, self._native = logits, native

    def each(self) -> tuple[Callable[[], Tensor], ...]:
        """Give a function an object, which computes its probabilities (H,W)."""
        return tuple(partial(self._of, k) for k in range(1, self._logits.shape[1]))

    @torch.inference_mode()
    def _of(self, number: int) -> Tensor:
        logit = resize_smooth(self._logits[:, number : number + 1], self._native)[0, 0]
        return torch.exp(logit - self._total).clamp_max(1.0)

    @cached_property
    def _total(self) -> Tensor:
        """Logarithm of the sum of the exponentials of all classes (H,W)."""
        total = resize_smooth(self._logits[:, :1], self._native)
        for k in range(1, self._logits.shape[1]):
            total = torch.logaddexp(total, resize_smooth(self._logits[:, k : k + 1], self._native))
        return total[0, 0]


def shrunk_classes(label_map: Tensor, ids: Sequence[int], enter: Callable[[Tensor], Tensor]) -> Tensor:
    """Bring one mask a class to the working size; one is at native size at a time.

    Args:
        label_map: (H,W) integer ids; every id that is not in `ids` counts as background.
        ids: of the objects.
        enter: from (1,1,H,W) to (1,1,h,w).

    Returns:
        (1,K,h,w) float32; class 0 is whatever no object covers.
    """
    masks = [enter((label_map == i).float()[None, None]) for i in ids]
    background = ~torch.isin(label_map, torch.tensor(list(ids), device=label_map.device))
    return torch.cat([enter(background.float()[None, None]), *masks], dim=1)
