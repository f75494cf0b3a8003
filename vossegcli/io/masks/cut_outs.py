"""Images with transparency: whether their colours are the mask, or their alpha is.

A cut-out keeps a photograph where the object is and is transparent elsewhere; an alpha matte keeps nothing but black.
There, the alpha channel is the mask. A drawing of a few flat colours on a transparent ground is a mask by its colours.

Shapes: H W pixels; C channels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MOST_FLAT_COLORS = 16
_MIN_FLAT_SHARE = 0.7  # of the pixels equal their right neighbour; photographs have at most 0.35, films of cartoons 0.1

Samples = npt.NDArray[np.uint8]


def alpha_is_mask(samples: Samples, alpha: Samples) -> bool:
    """Tell whether the alpha channel is the mask.

    Args:
        samples: (H,W,C) uint8 colours or grey levels.
        alpha: (H,W) uint8.
    """
    visible = alpha > 0
    if visible.all() or not visible.any():
        return False
    opaque = alpha == alpha.max()
    inside = samples[opaque]  # (P,C)
    if not inside.any():
        return True
    if len(np.unique(inside, axis=0)) <= _MOST_FLAT_COLORS:
        return False
    pairs = opaque[:, 1:] & opaque[:, :-1]
    equal = (samples[:, 1:] == samples[:, :-1]).all(axis=2) & pairs
    return bool(equal.sum() < _MIN_FLAT_SHARE * pairs.sum())


def shown_over_black(samples: Samples, alpha: Samples) -> Samples:
    """Make transparent pixels black; several levels of opacity are blended, one counts as opaque.

    Args:
        samples: (H,W,C) uint8.
        alpha: (H,W) uint8.
    """
    levels = np.count_nonzero(np.bincount(alpha.ravel(), minlength=256)[1:])
    opacity = np.where(alpha > 0, 255, 0) if levels <= 1 else alpha.astype(np.int64)
    return ((samples * opacity[..., None] + 127) // 255).astype(np.uint8)


def opacity(alpha: Samples) -> Samples:
    """Give the alpha channel (H,W) as a grey mask: one level of opacity is white, several stay as they are."""
    levels = np.count_nonzero(np.bincount(alpha.ravel(), minlength=256)[1:])
    return np.where(alpha > 0, 255, 0).astype(np.uint8) if levels <= 1 else alpha
