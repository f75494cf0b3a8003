"""Cells of the supports themselves, with which those of an image are compared (an addition to the paper).

Prototypes are means: they blur what is rare in a class, and where it ends. So here the nearest cell of the supports
speaks too, beside the nearest prototype.

Shape letters: K supports, n cells of the class, m of its surroundings, B images, C channels, h w cells.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.spans import even_places
from vossegcli.systems.fwb.prototypes import clear_share

#: Cells of the class, and of its surroundings, of all supports together that are kept at most, evenly spaced.
MOST = 1024


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
    return SupportCells(_picked(cells, inside), _picked(cells, outside))


def nearer_to_class(cells: SupportCells, features: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Return how much nearer the nearest cell of the class is than the nearest of its surroundings.

    Args:
        cells: of the supports.
        features: (B,C,h,w) of images.
        precision: in which the nearest is looked for; distances are float32.

    Returns:
        (B,h,w) difference of the two distances.
    """
    with torch.autocast(features.device.type, enabled=False):
        own = features.flatten(2).transpose(1, 2)  # (B,h*w,C)
        to_class, to_others = (torch.stack([_distances(known, one, precision) for one in own]) for known in cells)
        nearer: Tensor = (to_others - to_class).unflatten(1, features.shape[2:])
        return nearer


def _picked(cells: Tensor, share: Tensor) -> Tensor:
    counted = clear_share(share.flatten()).nonzero()[:, 0]
    return cells[counted[even_places(len(counted), MOST, cells.device)]]


def _distances(known: Tensor, own: Tensor, precision: torch.dtype) -> Tensor:
    """Distances (n,) of cells (n,C) to the nearest of known ones (P,C), which is looked for in a given precision."""
    half_squares = 0.5 * known.square().sum(dim=1)
    scores = F.linear(own.to(precision), known.to(precision), -half_squares.to(precision))  # (n,P)
    nearest = scores.max(dim=1).indices  # on a CPU, `argmax` takes four times as long
    distances: Tensor = torch.linalg.vector_norm(own - known[nearest], dim=1)
    return distances
