"""Anti-aliased masks: recognising them, and snapping their edges back to flat values.

A smoothed mask has values that exist only on the edges between other values and lie between those. An id map
with many small objects has small regions too, but their values are not between those of their neighbours all
along, and the large regions touch each other directly. The rules below rest on that difference.

Shapes: H W pixels; V distinct values of the mask; C channels, 1 (ids or grey levels) or 3 (RGB).
A *core* pixel equals its 8 neighbours; a *flat* value has cores; a *soft* value has (almost) none and most of
its pixels lie strictly between the least and the greatest of their 3x3 neighbourhood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)

_MIN_CORE_SHARE = 0.05  # of a flat value's pixels; a 3x3 object has 0.11
_MIN_SOFT_SHARE = 0.5  # of a soft value's pixels that must lie between their neighbours
_MIN_FLAT_COVER = 0.5  # of the image
_MIN_CORE_COVER = 0.5  # of the image; a photograph has less
_MIN_PHOTOGRAPH_PIXELS = 4096
_MIN_SOFT_VALUES = 3
_MIN_SOFT_BORDER = 0.3  # of all borders between values
_MIN_SOFT_BORDER_OF_COLORS = 0.5  # likewise, in a palette image, whose indices are ids unless nearly all edges are soft
_MIN_EQUAL_SHARE = 0.3  # of the pixels of an id map equal their right neighbour
_COLOR_TOLERANCE = 16  # levels: a channel that changes less across an edge says nothing
_NOISE_TOLERANCE = 32  # levels: what JPEG adds to a flat colour
_NOISY_VALUES = 64
_MOST_MASK_VALUES = 1024
_WHITE = 255
_SNAP_RADIUS = 3  # pixels: flat values further off are no candidates for an edge pixel


@dataclass(frozen=True)
class IndexedMask:
    """A mask as indices into its distinct values.

    Attributes:
        codes: (H,W) int64, rows of `values`.
        values: (V,C) int64, ascending in the lexical order of their channels.
        counts: (V,) int64, pixels of each value.
        lossy: whether the file format changes values (JPEG).
        white: the value that stands for white in a grey image of black and white: 255, or 65535 in 16 bits.
    """

    codes: IntArray
    values: IntArray
    counts: IntArray
    lossy: bool = False
    white: int = 255


@dataclass(frozen=True)
class EdgeReport:
    """Appearance of the edges of a mask.

    Attributes:
        flat: (V,) bool, values with cores.
        soft: (V,) bool, values that exist only between others.
        between: (H,W) bool, pixels that lie strictly between their neighbours.
        core: (H,W) bool, pixels that equal their 8 neighbours.
        anti_aliased: whether the mask as a whole was smoothed.
    """

    flat: BoolArray
    soft: BoolArray
    between: BoolArray
    core: BoolArray
    anti_aliased: bool


def index_values(pixels: npt.NDArray[np.integer], *, lossy: bool = False) -> IndexedMask:
    """Index the distinct values of a mask.

    Args:
        pixels: (H,W) ids or grey levels, or (H,W,3) uint8 RGB.
        lossy: whether the file format changes values.
    """
    color = pixels.ndim == 3
    keys = pixels.astype(np.int64)
    if color:
        keys = (keys[..., 0] << 16) | (keys[..., 1] << 8) | keys[..., 2]
    if color:
        found, codes, counts = np.unique(keys, return_inverse=True, return_counts=True)
        values = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1)
        return IndexedMask(codes.reshape(keys.shape).astype(np.int64), values, counts.astype(np.int64), lossy)
    histogram = np.bincount(keys.ravel())
    found = np.flatnonzero(histogram)
    rank = np.cumsum(histogram > 0) - 1
    white = 255 if pixels.dtype == np.uint8 else 65535
    return IndexedMask(rank[keys].astype(np.int64), found[:, None].astype(np.int64), histogram[found], lossy, white)


def inspect_edges(mask: IndexedMask) -> EdgeReport:
    """Tell flat from soft values and decide whether the mask was smoothed."""
    core = _extreme(mask.codes, np.maximum) == _extreme(mask.codes, np.minimum)  # (H,W)
    cores = np.bincount(mask.codes[core], minlength=len(mask.values))  # (V,)
    flat = (cores > 0) & (cores >= _MIN_CORE_SHARE * mask.counts)
    if len(mask.values) <= 2 or flat.all():
        nothing = np.zeros(mask.codes.shape, dtype=np.bool_)
        noisy = mask.lossy and len(mask.values) > 2 and _holds_near_values(mask.values)
        return EdgeReport(flat, np.zeros_like(flat), nothing, core, anti_aliased=noisy)
    between = _between_neighbours(mask)
    betweens = np.bincount(mask.codes[between], minlength=len(mask.values))
    soft = ~flat & (betweens >= _MIN_SOFT_SHARE * mask.counts)
    smoothed = mask.lossy or _is_smoothed(mask, flat, soft)
    return EdgeReport(flat, soft, between, core, anti_aliased=smoothed)


def is_photograph(mask: IndexedMask, report: EdgeReport) -> bool:
    """Tell whether an image has so little flat area and so many values that it is no mask at all.

    Measured on maps of up to 510 touching objects: 0.70 of the pixels are cores, at most 4 values soft.
    Photographs: at most 0.43 cores where nothing is clipped to white or black.
    """
    if report.anti_aliased and not report.flat.any():
        return True
    count = len(mask.values)
    if count <= _NOISY_VALUES or mask.codes.size < _MIN_PHOTOGRAPH_PIXELS:
        return False
    too_many = count > _MOST_MASK_VALUES or report.soft.sum() >= count / 8
    return bool(too_many and report.core.mean() < _MIN_CORE_COVER)


def is_noise(mask: IndexedMask) -> bool:
    """Tell whether an image of ids beyond doubt has so little flat area that it can only be a photograph.

    Objects of 2x2 pixels that touch each other still have half of their pixels equal to the right neighbour.
    """
    if len(mask.values) <= _NOISY_VALUES or mask.codes.size < _MIN_PHOTOGRAPH_PIXELS:
        return False
    return bool((mask.codes[:, 1:] == mask.codes[:, :-1]).mean() < _MIN_EQUAL_SHARE)


def follows_edges(mask: IndexedMask, report: EdgeReport) -> bool:
    """Tell whether the soft values run along most edges between others, as smoothing leaves them.

    A few tiny objects beside a large one lie between values too, but not all along its edge.
    """
    enough = int(report.soft.sum()) >= _MIN_SOFT_VALUES
    return enough and _soft_border_share(mask.codes, report.soft) >= _MIN_SOFT_BORDER_OF_COLORS


def snap_to_flat(mask: IndexedMask, report: EdgeReport) -> tuple[IndexedMask, int]:
    """Give every edge pixel the nearest in value of the flat values around it.

    Only flat values within 3 pixels are candidates, so that the edge between 0 and 255 does not leave a seam
    of an object 128 that is elsewhere; where none is that near, all are.

    Returns:
        the mask with flat values only, and how many pixels changed.
    """
    kept = _main_values(mask, report) if _is_noisy(mask, report) else _with_tiny_values(mask, report)
    rows = _sure_rows(mask, report, kept)  # (H,W), -1 = to be snapped
    loose = rows < 0
    pixels = mask.values[mask.codes[loose]]  # (U,C)
    best = np.full(len(pixels), np.inf)
    choice = np.zeros(len(pixels), dtype=np.int64)
    for penalty in (1e9, 0.0):  # first every flat value, at a price, then those that are near
        for row, value in enumerate(mask.values[kept]):
            distance = ((pixels - value) ** 2).sum(axis=1) + penalty
            if not penalty:
                distance = np.where(_grown(rows == row, _SNAP_RADIUS)[loose], distance, np.inf)
            closer = distance < best
            best[closer], choice[closer] = distance[closer], row
    snapped = rows.copy()
    snapped[loose] = choice
    changed = int((kept[snapped] != mask.codes).sum())
    return _reindexed(mask, kept, snapped), changed


def _is_smoothed(mask: IndexedMask, flat: BoolArray, soft: BoolArray) -> bool:
    """Weigh the soft values: some real maps have a few, as thin things between two others."""
    soft_count, flat_count = int(soft.sum()), int(flat.sum())
    if not soft_count or mask.counts[flat].sum() < _MIN_FLAT_COVER * mask.codes.size:
        return False
    color = mask.values.shape[1] == 3
    if _has_white(mask):
        if not flat[1:-1].any():  # black and white, and nothing else that is flat
            return True
    elif not color and (flat_count < 2 or mask.white > _WHITE):  # 16 bits are for ids, not for shades
        return False
    if soft_count < _MIN_SOFT_VALUES:
        return False
    return soft_count >= flat_count or _soft_border_share(mask.codes, soft) >= _MIN_SOFT_BORDER


def _soft_border_share(codes: IntArray, soft: BoolArray) -> float:
    """Give the share of all pairs of unequal 4-neighbours in which a soft value takes part."""
    is_soft = soft[codes]
    pairs = soft_pairs = 0
    for first, second in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        unequal = codes[first] != codes[second]
        pairs += int(unequal.sum())
        soft_pairs += int((unequal & (is_soft[first] | is_soft[second])).sum())
    return soft_pairs / max(pairs, 1)


def _between_neighbours(mask: IndexedMask) -> BoolArray:
    """Mark pixels strictly between the extremes of their 3x3 neighbourhood in every channel that changes."""
    tolerance = _COLOR_TOLERANCE if mask.values.shape[1] == 3 else 0
    strict = np.ones(mask.codes.shape, dtype=np.bool_)
    changes = np.zeros(mask.codes.shape, dtype=np.bool_)
    for channel in mask.values.T:
        plane = channel[mask.codes]
        low, high = _extreme(plane, np.minimum), _extreme(plane, np.maximum)
        low[[0, -1]], low[:, [0, -1]] = 0, 0  # beyond the image lies background: a soft edge may run along the border
        changing = high - low > tolerance
        changes |= changing
        strict &= ~changing | ((low < plane) & (plane < high))
    return strict & changes


def _is_noisy(mask: IndexedMask, report: EdgeReport) -> bool:
    """Tell JPEG, or a copy of one. Grey ids are near by nature: there, only black and white tell noise."""
    grey = mask.values.shape[1] == 1
    black_and_white = _has_white(mask) and bool(report.flat[0] and report.flat[-1])
    return mask.lossy or (len(mask.values) > _NOISY_VALUES and (black_and_white or not grey))


def _has_white(mask: IndexedMask) -> bool:
    return mask.values.shape[1] == 1 and int(mask.values[-1, 0]) == mask.white


def _flat_values(mask: IndexedMask, report: EdgeReport) -> IntArray:
    """Choose the values to snap to, as rows: flat ones, and white, of which lines may leave no core."""
    chosen = report.flat.copy()
    if _has_white(mask):
        chosen[-1] = True
    return np.flatnonzero(chosen).astype(np.int64)


def _with_tiny_values(mask: IndexedMask, report: EdgeReport) -> IntArray:
    """Add the few values of objects so small that they have no core, but that no edge explains."""
    tiny = ~report.flat & ~report.soft
    few = tiny if tiny.sum() <= report.soft.sum() / 8 else np.zeros_like(tiny)
    return np.union1d(_flat_values(mask, report), np.flatnonzero(few)).astype(np.int64)


def _main_values(mask: IndexedMask, report: EdgeReport) -> IntArray:
    """Choose one row from each group of near flat values, the most frequent."""
    candidates = _flat_values(mask, report)
    kept: list[int] = []
    for row in candidates[np.argsort(-mask.counts[candidates], kind="stable")]:
        distances = np.abs(mask.values[kept] - mask.values[row]).max(axis=1, initial=0)
        if not (distances <= _NOISE_TOLERANCE).any():
            kept.append(int(row))
    return np.array(sorted(kept), dtype=np.int64)


def _sure_rows(mask: IndexedMask, report: EdgeReport, kept: IntArray) -> IntArray:
    """Give the index in `kept` of the pixels (H,W) that have such a value and not by chance, else -1."""
    row_of = np.full(len(mask.values), -1)
    row_of[kept] = np.arange(len(kept))
    rows = row_of[mask.codes].astype(np.int64)
    for row in range(len(kept)):
        region = rows == row
        passing = region & report.between
        if passing.any():
            rows[passing & ~_grown(region & report.core, 2)] = -1
    return rows


def _reindexed(mask: IndexedMask, kept: IntArray, codes: IntArray) -> IndexedMask:
    """Keep some values, ascending rows of the old ones; `codes` are indices into them."""
    counts = np.bincount(codes.ravel(), minlength=len(kept)).astype(np.int64)
    return IndexedMask(codes, mask.values[kept], counts, mask.lossy, mask.white)


def _holds_near_values(values: IntArray) -> bool:
    """Tell whether two of the values (V,C) differ by less than JPEG noise."""
    if len(values) > 256:
        return True
    distances = np.abs(values[:, None] - values[None]).max(axis=2)  # (V,V)
    return bool((distances + np.eye(len(values)) * 2**20 <= _NOISE_TOLERANCE).any())


def _grown(mask: BoolArray, radius: int) -> BoolArray:
    for _ in range(radius):
        mask = _extreme(mask, np.logical_or)
    return mask


def _extreme(plane: npt.NDArray[T], choose: Callable[..., npt.NDArray[T]]) -> npt.NDArray[T]:
    """Reduce the 3x3 neighbourhood of every pixel of (H,W), clipped at the border."""
    rows = plane.copy()
    rows[1:] = choose(rows[1:], plane[:-1])
    rows[:-1] = choose(rows[:-1], plane[1:])
    both = rows.copy()
    both[:, 1:] = choose(both[:, 1:], rows[:, :-1])
    both[:, :-1] = choose(both[:, :-1], rows[:, 1:])
    return both
