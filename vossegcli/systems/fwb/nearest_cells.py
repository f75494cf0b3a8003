"""Cells of the supports themselves, with which those of an image are compared (an addition to the paper).

Prototypes are means: they blur what is rare in a class, and where it ends. So here the nearest cell of the supports
speaks too, beside the nearest prototype.

Shape letters: K supports, n cells of the class, m of its surroundings, B images, C channels, h w cells.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vossegcli.systems.fwb.feature_weighting import EPSILON
from vossegcli.systems.fwb.prototypes import clear_share

#: Cells of all supports together that are kept at most, evenly spaced.
OF_CLASS, AROUND = 1024, 2048


class SupportCells(NamedTuple):
    """Cells of the supports.

    Attributes:
        of_class: (n,C).
        around: (m,C) of what surrounds the class.
    """

    of_class: Tensor
    around: Tensor


def support_cells(features: Tensor, inside: Tensor, outside: Tensor) -> SupportCells:
    """Pick the cells of supports.

    Args:
        features: (K,C,h,w).
        inside: (K,h,w) share of each cell that is the class.
        outside: (K,h,w) share that is not.
    """
    cells = features.flatten(2).transpose(1, 2).flatten(0, 1)  # (K*h*w,C)
    return SupportCells(_picked(cells, inside, OF_CLASS), _picked(cells, outside, AROUND))


def nearer_to_class(cells: SupportCells, features: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Return how much nearer the nearest cell of the class is than the nearest of its surroundings.

    Args:
        cells: of the supports.
        features: (B,C,h,w) of images.
        precision: of the products.

    Returns:
        (B,h,w) difference of the two distances.
    """
    with torch.autocast(features.device.type, enabled=False):
        compared = features.flatten(2).transpose(1, 2)  # (B,h*w,C)
        squares = compared.square().sum(dim=2)
        to_class, to_others = (
            torch.stack([_to_nearest(known, own, precision) for own in compared]).add(squares).clamp_min(EPSILON).sqrt()
            for known in cells
        )
        nearer: Tensor = (to_others - to_class).unflatten(1, features.shape[2:])
        return nearer


def _picked(cells: Tensor, share: Tensor, most: int) -> Tensor:
    counted = clear_share(share.flatten()).nonzero()[:, 0]
    places = torch.linspace(0, len(counted) - 1, min(most, len(counted)), device=cells.device).round().long()
    return cells[counted[places]]


def _to_nearest(known: Tensor, own: Tensor, precision: torch.dtype) -> Tensor:
    """Squared distances of cells (n,C) to the nearest of known ones (P,C), without the cells' own squares: (n,)."""
    products = (own.to(precision) @ known.to(precision).T).float()
    nearest: Tensor = (known.square().sum(dim=1) - 2.0 * products).amin(dim=1)
    return nearest
