"""From logits at the working size to labels at native size, part by part.

A frame of 3840x2160 has 8 million pixels: probabilities of 20 objects would take 660 MiB, and more time than the
network. So parts of the frame are enlarged, compared and dropped, each with the classes that can be there alone;
probabilities are computed for an object when they are asked for.

Shape letters: K classes (background is class 0), h w working size, H W native pixels, R rows of S parts each,
k classes of a part, r c its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.ops.resize import Size, resize_smooth, row_weights, size_of

#: Side of a part on a CPU: small enough for a cache and to leave much of the frame out, large enough for few of them.
SIDE = 128
#: Rows of a part on other devices, which compute all columns and classes faster than they tell which can be there.
ROWS_ELSEWHERE = 1024
#: Where the best class leads by as much, the uncertainty `exp(1 - exp(lead))` is 1e-35, which adds nothing to a sum.
#: Beyond it come numbers that are not normal in float32, for which a CPU takes several times as long.
CLEAR_LEAD = 4.4
VOID = 255


class NativeLabels(NamedTuple):
    """Labels at native size, and what each class wins."""

    label_map: Tensor  # (H,W) ids, uint8 where all are below 255, else int32
    area: Tensor  # (K,) pixels
    uncertainty: Tensor  # (K,) sum over these pixels


class _Part(NamedTuple):
    """Pixels of the frame and the classes that can be there."""

    rows: slice
    columns: slice
    classes: tuple[int, ...]


class _Axis(NamedTuple):
    """Bilinear enlargement of one axis from n to N places."""

    weights: Tensor  # (N,n) of the old places
    first: list[int]  # N, the old place at or before each new one
    above: Tensor  # (N,) the same
    share: Tensor  # (N,1) weight of the old place after it

    def needs(self, new: slice) -> slice:
        """Give the old places that some new ones are made of."""
        return slice(self.first[new.start], min(self.first[new.stop - 1] + 2, self.weights.shape[1]))


@lru_cache(maxsize=8)
def _axis(device: torch.device, new: int, old: int) -> _Axis:
    """The enlargement of an axis on a device, which the frames of a video share."""
    with torch.inference_mode(mode=False):
        first, weights = row_weights(new, old)
        above = torch.tensor(first)
        share = 1.0 - weights[torch.arange(new), above]
        return _Axis(weights.to(device), first, above.to(device), share.to(device).unsqueeze(1))


def skips_clear_parts(device: torch.device) -> bool:
    """Return True where looking for what can be in a part pays: a GPU computes all faster than it tells."""
    return device.type == "cpu"


def native_labels(logits: Tensor, native: Size, ids: Sequence[int]) -> NativeLabels:
    """Enlarge logits and give each pixel the id of its best class.

    Args:
        logits: (K,h,w) float32.
        native: (H,W).
        ids: object ids of classes 1, 2, ...
    """
    device = logits.device
    result = NativeLabels(
        torch.empty(native, dtype=torch.uint8 if max(ids) < VOID else torch.int32, device=device),
        torch.zeros(len(logits), dtype=torch.int64, device=device),
        torch.zeros(len(logits), device=device),
    )
    table = (0, *ids)
    if size_of(logits) == native:
        everything = tuple(range(len(logits)))
        _decide(_leads(logits, everything), everything, result.label_map, result, table)
        return result
    axes = tuple(_axis(device, new, old) for new, old in zip(native, size_of(logits), strict=True))
    for part in _parts(logits, axes) if skips_clear_parts(device) else _stripes(native, len(logits)):
        label_map = result.label_map[part.rows, part.columns]
        if len(part.classes) == 1:
            label_map.fill_(table[part.classes[0]])
            result.area[part.classes[0]] += label_map.numel()
        else:
            _decide(_enlarged(logits, part, axes), part.classes, label_map, result, table)
    return result


def _stripes(native: Size, classes: int) -> Iterator[_Part]:
    """Cut a frame into stripes in which all classes can be."""
    for top in range(0, native[0], ROWS_ELSEWHERE):
        rows = slice(top, min(top + ROWS_ELSEWHERE, native[0]))
        yield _Part(rows, slice(0, native[1]), tuple(range(classes)))


def _parts(logits: Tensor, axes: Sequence[_Axis]) -> Iterator[_Part]:
    """Cut a frame into parts, joined beside each other where the same classes can be in them.

    Logits of a part are weighted means of those around it. A class whose largest one is far below what another class
    has at least neither wins there nor makes the winner uncertain. Nor does one that is below two others everywhere.
    """
    rows, columns = ([slice(at, min(at + SIDE, new)) for at in range(0, new, SIDE)] for new in _sizes(axes))
    largest, smallest = (
        _of_parts(logits, (rows, columns), axes, extreme) for extreme in (torch.amax, torch.amin)
    )  # (K,R,S)
    first, second = smallest.topk(2, dim=0).values
    possible = ~((largest < first - CLEAR_LEAD) | (largest < second))  # also where something is no number
    for row, of_row in zip(rows, possible.permute(1, 2, 0).tolist(), strict=True):
        found = (
            (column, tuple(k for k, yes in enumerate(of_part) if yes))
            for column, of_part in zip(columns, of_row, strict=True)
        )
        for classes, beside in groupby(found, key=lambda part: part[1]):
            joined = [column for column, _ in beside]
            if len(classes) == 1:
                yield _Part(row, slice(joined[0].start, joined[-1].stop), classes)
            else:
                yield from (_Part(row, column, classes) for column in joined)


def _sizes(axes: Sequence[_Axis]) -> Size:
    return axes[0].weights.shape[0], axes[1].weights.shape[0]


def _of_parts(
    logits: Tensor, parts: tuple[list[slice], list[slice]], axes: Sequence[_Axis], extreme: Callable[..., Tensor]
) -> Tensor:
    """Return the extreme of each class over the logits that each part is made of, (K,R,S)."""
    of_rows = torch.stack([extreme(logits[:, axes[0].needs(rows)], dim=1) for rows in parts[0]], dim=1)  # (K,R,w)
    return torch.stack([extreme(of_rows[..., axes[1].needs(columns)], dim=2) for columns in parts[1]], dim=2)


def _leads(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Take some classes of (K,h,w); of two, the second one's lead over the first, (1,h,w), is enough."""
    if len(classes) == 2:  # noqa: PLR2004
        return (logits[classes[1]] - logits[classes[0]]).unsqueeze(0)
    return logits if len(classes) == len(logits) else logits[list(classes)]


def _enlarged(logits: Tensor, part: _Part, axes: Sequence[_Axis]) -> Tensor:
    """Enlarge the logits that a part is made of to (k,r,c), or to the lead (1,r,c) of the second of two classes."""
    rows, columns = axes[0].needs(part.rows), axes[1].needs(part.columns)
    needed = _leads(logits[:, rows, columns], part.classes)
    wide = needed @ axes[1].weights[part.columns, columns].T  # (k,n,c)
    above = axes[0].above[part.rows] - rows.start
    beneath = (above + 1).clamp_max_(wide.shape[1] - 1)
    share = axes[0].share[part.rows]
    return torch.lerp(wide.index_select(1, above), wide.index_select(1, beneath), share)


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


def _decide(
    logits: Tensor, classes: Sequence[int], label_map: Tensor, result: NativeLabels, table: Sequence[int]
) -> None:
    """Write the ids of the best of some classes into a part of the label map (r,c), and count them.

    Args:
        logits: (k,r,c), or (1,r,c) of two classes.
        classes: the k classes.
        label_map: written to.
        result: area and uncertainty are added to.
        table: id of each of the K classes.
    """
    best, lead = best_of_classes(logits)
    unsure = torch.exp(1.0 - torch.exp(lead.clamp_max_(CLEAR_LEAD)))
    if len(classes) == 2:  # noqa: PLR2004 - sums are much cheaper than adding by index
        second, area = (unsure * best).sum(), best.sum()
        of_classes = torch.stack([unsure.sum() - second, second]), torch.stack([best.numel() - area, area])
    else:
        flat, nothing = best.flatten(), torch.zeros(len(classes), device=best.device)
        one = torch.ones((), dtype=torch.int64, device=best.device).expand_as(flat)
        of_classes = nothing.index_add(0, flat, unsure.flatten()), nothing.long().index_add(0, flat, one)
    numbers = torch.tensor(classes).to(best.device, non_blocking=True)
    result.uncertainty.index_add_(0, numbers, of_classes[0])
    result.area.index_add_(0, numbers, of_classes[1])
    ids = torch.tensor([table[k] for k in classes], dtype=label_map.dtype).to(best.device, non_blocking=True)
    label_map.copy_(ids.index_select(0, best.flatten()).view_as(best))


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
