"""Masks with soft edges: refused, snapped to flat values, or taken as they are.

Shapes: H W pixels; V distinct values of the mask.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.masks.soft_edges import (
    EdgeReport,
    IndexedMask,
    follows_edges,
    index_values,
    inspect_edges,
    is_noise,
    is_photograph,
    snap_to_flat,
)
from vossegcli.io.masks.stored_masks import StoredMask
from vossegcli.wording import counted

_MAX_SNAPPED_SHARE = 0.25
_NOTED_VALUES = 8
_DEEP_WHITE = 65535
_MIN_PAIRS = 64
_MIN_EQUAL_PAIRS = 0.5  # of the neighbours that are both objects


class CleanValues(NamedTuple):
    """The values of a mask that mean something.

    Attributes:
        mask: the values, repaired if they had to be.
        are_shades: whether grey values among them may be shades instead of ids, as in JPEG and smoothed images.
        notes: what was repaired or looks odd.
    """

    mask: IndexedMask
    are_shades: bool
    notes: tuple[str, ...] = ()


def clean_values(path: Path, stored: StoredMask, *, fix: bool, exact: bool, repairable: bool = True) -> CleanValues:
    """Look at the edges of a mask, and refuse or snap soft ones.

    Indices of the DAVIS palette and samples of 16 bits are ids, however small the objects: neither smoothing nor
    JPEG leaves such files. Of other palettes the colours are looked at, of all other images the values.

    Args:
        path: the file, for messages.
        stored: its values.
        fix: snap anti-aliased pixels to their nearest flat value.
        exact: take every value as it is.
        repairable: errors advise --fix-mask and --exact-mask.

    Raises:
        InputError: the mask is anti-aliased, or a photograph.
    """
    mask = index_values(stored.pixels, lossy=stored.lossy)
    if exact:
        return CleanValues(mask, stored.lossy)
    if stored.kind == "palette":
        return _clean_palette(path, stored, mask, fix=fix, repairable=repairable)
    report = inspect_edges(mask)
    deep = stored.white == _DEEP_WHITE and not stored.lossy and not report.anti_aliased
    if is_noise(mask) if deep else is_photograph(mask, report):
        raise photograph_error(path, len(mask.values))
    if report.anti_aliased:
        mask, note = _snapped(path, mask, report) if fix else _refused(path, mask, report, repairable=repairable)
        return CleanValues(mask, are_shades=True, notes=(note,))
    thin = mask.values.shape[1] == 1 and report.soft.any() and not deep
    return CleanValues(mask, stored.lossy, (_thin_note(mask, report.soft),) if thin else ())


def photograph_error(path: Path, value_count: int) -> InputError:
    """The error of a picture that is no mask."""
    return InputError(
        f"holds {value_count} different values and few flat regions: a photograph, not a mask",
        where=path,
        fix="give a label map",
    )


def _clean_palette(path: Path, stored: StoredMask, mask: IndexedMask, *, fix: bool, repairable: bool) -> CleanValues:
    """Take indices as ids, unless their colours say that a smoothed picture was reduced to a palette."""
    if stored.colors is None:
        return CleanValues(mask, are_shades=False)
    colors = stored.colors[mask.values[:, 0]].astype(np.int64)  # (V,3)
    if len(np.unique(colors, axis=0)) < len(colors):
        return CleanValues(mask, are_shades=False)  # a palette that tells no ids apart tells nothing about edges either
    shown = replace(mask, values=colors)
    report = inspect_edges(shown)
    if is_noise(mask):
        raise photograph_error(path, len(colors))
    if _is_dithered(mask):
        raise InputError(
            f"is dithered: its {len(colors)} palette entries alternate from pixel to pixel",
            where=path,
            fix="save the mask without dithering, or as RGB" + (", or pass --exact-mask" if repairable else ""),
        )
    if not follows_edges(shown, report):
        return CleanValues(mask, are_shades=False)
    if not fix:
        _refused(path, shown, report, repairable=repairable)
    snapped, note = _snapped(path, shown, report)
    index_of = {tuple(color): int(index) for color, index in zip(colors.tolist(), mask.values[:, 0], strict=True)}
    indices = np.array([index_of[tuple(color)] for color in snapped.values.tolist()], np.int64)
    ids_map = indices[snapped.codes].astype(np.uint8)
    return CleanValues(index_values(ids_map), are_shades=False, notes=(note,))


def _is_dithered(mask: IndexedMask) -> bool:
    """Tell whether most values other than 0 change from pixel to pixel, as where colours were dithered."""
    ids = mask.values[mask.codes, 0]
    left, right = ids[:, :-1], ids[:, 1:]
    inside = (left > 0) & (right > 0)
    pairs = int(inside.sum())
    return pairs >= _MIN_PAIRS and int((inside & (left == right)).sum()) < _MIN_EQUAL_PAIRS * pairs


def _snapped(path: Path, mask: IndexedMask, report: EdgeReport) -> tuple[IndexedMask, str]:
    snapped, changed = snap_to_flat(mask, report)
    if changed > _MAX_SNAPPED_SHARE * mask.codes.size:
        raise photograph_error(path, len(mask.values))
    flat = counted(len(snapped.values), "flat value[|s]")
    return snapped, f"{counted(changed, 'anti-aliased pixel[|s] [was|were] snapped')} to {flat}"


def _refused(path: Path, mask: IndexedMask, report: EdgeReport, *, repairable: bool) -> NoReturn:
    kind = "colours" if mask.values.shape[1] == 3 else "values"
    share = 100 * mask.counts[~report.flat].sum() / mask.codes.size
    flat_count = int(report.flat.sum())
    raise InputError(
        f"is anti-aliased: beside {flat_count} flat {kind} it holds {len(mask.values) - flat_count} more on "
        f"their edges ({share:.2g} % of the pixels)",
        where=path,
        fix="save the mask without smoothing (PNG, nearest neighbour)"
        + (", or pass --fix-mask to snap them, or --exact-mask if each of them is an object" if repairable else ""),
    )


def _thin_note(mask: IndexedMask, soft: npt.NDArray[np.bool_]) -> str:
    values = ", ".join(str(int(value)) for value in mask.values[soft, 0][:_NOTED_VALUES])
    return f"value {values} occurs only as a thin line between others: was the mask smoothed?"
