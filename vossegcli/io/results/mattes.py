"""Alpha mattes: solid inside an object, empty far from it, and soft along its outline, as its probabilities are.

Shapes: H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are first used: most runs need none of them

from vossegcli.io.media.images import opened_image
from vossegcli.io.results.overlays import write_image

Alpha = npt.NDArray[np.uint8]
BAND = 0.004  # of the picture's diagonal, to either side of an outline
_NARROWEST = 2


def soft_alpha(covered: npt.NDArray[np.bool_], probs: npt.NDArray[np.floating]) -> Alpha:
    """Make an alpha channel (H,W) of a mask (H,W) and the probability (H,W) of what it shows, in [0, 1].

    Farther than `BAND` from the outline, the mask decides, so that nothing shines through an object and no haze
    surrounds it.
    """
    hard = covered.astype(np.uint8) * np.uint8(255)
    if not covered.any():
        return hard
    steps = max(_NARROWEST, round(BAND * math.hypot(*covered.shape)))
    size = 2 * steps + 1
    near = scipy.ndimage.maximum_filter(hard, size) != scipy.ndimage.minimum_filter(hard, size)
    soft = np.rint(probs.astype(np.float32).clip(0.0, 1.0) * 255.0).astype(np.uint8)
    return np.where(near, soft, hard)


def write_alpha(
    path: Path, label_map: npt.NDArray[np.integer], ids: Sequence[int], probs: npt.NDArray[np.floating], *, onto: bool
) -> None:
    """Write the alpha channel of a frame until all are there.

    Args:
        path: the file.
        label_map: (H,W) ids of the frame.
        ids: the objects that were segmented now.
        probs: (H,W) the probability of any of them.
        onto: keep what an earlier way through the video wrote for other objects.
    """
    alpha = soft_alpha(np.isin(label_map, ids), probs)
    if onto:
        alpha = np.maximum(alpha, read_alpha(path, (alpha.shape[0], alpha.shape[1])))
    write_image(path, alpha)


def read_alpha(path: Path, size: tuple[int, int]) -> Alpha:
    """Read the alpha channel of a frame of a size (H, W); one that was not written is empty."""
    if not path.is_file():
        return np.zeros(size, np.uint8)
    with opened_image(path) as image:
        return np.array(image)


def cutout_path(output: Path, name: str, frame_name: str) -> Path:
    """Return the path of a frame's cut-out."""
    return output / "cutouts" / name / f"{frame_name}.png"


def matte_path(output: Path, name: str) -> Path:
    """Return the path of a sequence's matte video."""
    return output / "matte" / f"{name}.mp4"


def prores_path(output: Path, name: str) -> Path:
    """Return the path of a sequence's video with alpha."""
    return output / "prores" / f"{name}.mov"
