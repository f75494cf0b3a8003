"""Fit annotations to their pictures before training: compare sizes, turn and scale what fits another way.

Shapes: H W pixels of the picture as it is shown (EXIF orientation applied), h w pixels of the annotation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.media.images import EXIF_ORIENTATION, opened_image, read_image_size, size_text
from vossegcli.types import AnnotatedImage

Mask = npt.NDArray[np.uint8]
LISTED = 20  # faults that one message lists

#: EXIF orientations that exchange the sides, and the way from the stored mask (h,w) to the upright one (w,h).
_TURNS: dict[int, Callable[[Mask], Mask]] = {
    5: lambda mask: mask.T,
    6: lambda mask: np.rot90(mask, -1),
    7: lambda mask: np.rot90(mask, 2).T,
    8: lambda mask: np.rot90(mask),
}


def fit_to_pictures(images: Sequence[AnnotatedImage]) -> tuple[list[AnnotatedImage], list[str]]:
    """Check that every picture is there and has the size of its annotation.

    An annotation of the stored picture, before its EXIF orientation is applied, is turned with it; one of another size
    with the same proportions is scaled. Both can be.

    Args:
        images: as read from annotation files.

    Returns:
        The images with annotations of their pictures' sizes, and notes of what was turned and scaled.

    Raises:
        InputError: pictures are missing or cannot be read, or annotations fit in no way; all are listed.
    """
    missing = [str(image.path) for image in images if not image.path.is_file()]
    if missing:
        fix = "give their folder with --images, or check the file names in the annotations"
        raise InputError(f"{len(missing)} pictures are missing: {_listed(missing)}", fix=fix)
    fitted, faults = [], []
    counts: Counter[str] = Counter()
    for image in images:
        try:
            one, note = _fitted(image)
        except InputError as error:
            faults.append(str(error))
            continue
        fitted.append(one)
        if note:
            counts[f"{image.dataset}: annotations {note}"] += 1
    if faults:
        raise InputError(f"{len(faults)} pictures cannot be used: {_listed(faults)}", fix="correct or remove them")
    return fitted, [f"{note} ({count} pictures)" for note, count in counts.items()]


def _fitted(image: AnnotatedImage) -> tuple[AnnotatedImage, str]:
    size = read_image_size(image.path)
    annotated = (image.height, image.width)
    if size == annotated:
        return image, ""
    if same_proportions(annotated, size):
        return _changed(image, size, None), "of another size are scaled to their pictures"
    orientation = _orientation(image)
    if orientation in _TURNS and same_proportions(annotated, size[::-1]):
        scaled = " and scaled" if annotated != size[::-1] else ""
        return _changed(image, size, orientation), f"of the unrotated pictures are turned{scaled} (EXIF orientation)"
    raise InputError(
        f"is {size_text(size)}, but its annotation says {size_text(annotated)}",
        where=image.path,
        fix="use the pictures that were annotated",
    )


def same_proportions(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Say whether two sizes (height, width) differ by one scale, but for a pixel of rounding in the smaller one."""
    small, large = sorted((one, other))
    return abs(small[1] - large[1] * small[0] / large[0]) <= 1.0


def _changed(image: AnnotatedImage, size: tuple[int, int], orientation: int | None) -> AnnotatedImage:
    """Turn and scale the masks of an image to its picture (H,W)."""
    segmentations = []
    for rle in image.segmentations:
        mask: Mask = coco_mask.decode(rle)
        if orientation is not None:
            mask = _TURNS[orientation](mask)
        if mask.shape != size:
            scaled = Image.fromarray(np.ascontiguousarray(mask)).resize((size[1], size[0]), Image.Resampling.NEAREST)
            mask = np.asarray(scaled)
        found: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask))
        segmentations.append({"size": list(size), "counts": found["counts"].decode()})
    return replace(image, height=size[0], width=size[1], segmentations=tuple(segmentations))


def _orientation(image: AnnotatedImage) -> int:
    with opened_image(image.path) as picture:
        return int(picture.getexif().get(EXIF_ORIENTATION, 1))


def _listed(faults: Sequence[str]) -> str:
    more = f" and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
    return "; ".join(faults[:LISTED]) + more
