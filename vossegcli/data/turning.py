"""Cut-outs that turn within a clip: into another object of their class, or into more of themselves.

Real objects turn and unfold: what comes into view was not there to point at. A network that has seen it learns what
belongs together, not only what looks the same.
"""

from __future__ import annotations

import math

import numpy as np

from vossegcli.data.textures import Cutout, TextureSource, UInt8

ANOTHER = 0.12  # share of the annotated cut-outs that turn into another object of their class
UNFOLDS = 0.2  # share of the others of which a part appears later
PART = (0.35, 0.8)  # of the area that is there at first


def turn(source: TextureSource, cutout: Cutout, rng: np.random.Generator) -> tuple[Cutout, Cutout]:
    """Draw what a cut-out shows at the beginning and at the end of its clip; the same twice for most."""
    if cutout.kind is not None and rng.random() < ANOTHER:
        return cutout, source.another(cutout.kind, rng)
    if rng.random() < UNFOLDS and cutout.mask.any():
        part = Cutout(cutout.image, _part(cutout.mask, rng), cutout.kind)
        return part, cutout
    return cutout, cutout


def _part(mask: UInt8, rng: np.random.Generator) -> UInt8:
    """Keep what lies on one side of a line through a mask (S,S) of 0/1: `PART` of its area."""
    rows, columns = np.nonzero(mask)
    angle = rng.uniform(0.0, 2.0 * math.pi)
    along = math.cos(angle) * columns + math.sin(angle) * rows
    kept = along <= np.quantile(along, rng.uniform(*PART))
    part = np.zeros_like(mask)
    part[rows[kept], columns[kept]] = 1
    return part
