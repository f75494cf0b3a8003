"""Region similarity of masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def region_similarity(
    predicted: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], ids: tuple[int, ...]
) -> dict[int, float]:
    """Jaccard index J = |A & B| / |A | B| of each object; 1 where neither label map has it.

    Args:
        predicted: (H,W) object ids.
        truth: (H,W) object ids.
        ids: the objects to measure.

    Returns:
        J by object id, in [0, 1].

    Raises:
        ValueError: the label maps differ in size.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"label maps of {predicted.shape} and {truth.shape}")
    scores = {}
    for object_id in ids:
        a, b = predicted == object_id, truth == object_id
        union = int(np.count_nonzero(a | b))
        scores[object_id] = int(np.count_nonzero(a & b)) / union if union else 1.0
    return scores
