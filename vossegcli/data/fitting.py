"""Fit annotations to their pictures before training: compare sizes, turn and scale what fits another way.

Shapes: H W pixels of the picture as it is shown (EXIF orientation applied), h w pixels of the annotation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from vossegcli.errors import InputError
from vossegcli.io.media.endings import lacks_end
from vossegcli.io.media.images import opened_image, read_image, read_image_size, size_text
from vossegcli.io.media.orientation import MIRRORED, ON_THEIR_SIDE, UPSIDE_DOWN, orientation_of, upright_samples
from vossegcli.types import AnnotatedImage
from vossegcli.wording import counted

Mask = npt.NDArray[np.uint8]
LISTED = 20  # faults that one message lists

_TURNED = MIRRORED | UPSIDE_DOWN | ON_THEIR_SIDE  # all EXIF orientations but the upright one


@dataclass(frozen=True)
class _Fit:
    """One way to fit an annotation to its picture.

    Attributes:
        image: as read.
        size: (H, W) of the picture, upright.
        orientation: of the stored picture.
        stored: the annotation is of the stored picture; None = its size does not tell.
    """

    image: AnnotatedImage
    size: tuple[int, int]
    orientation: int
    stored: bool | None


def fit_to_pictures(images: Sequence[AnnotatedImage]) -> tuple[list[AnnotatedImage], list[str]]:
    """Check that every picture is there, is not cut off, and has the size of its annotation.

    An annotation of the stored picture, before its EXIF orientation is applied, is turned with it; one of another size
    with the same proportions is scaled. Both can be. Where the size does not tell (half turns, mirrored and square
    pictures), what the other pictures of the data set tell holds; if they tell nothing, a note asks to look.

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
        raise InputError(f"{counted(len(missing), 'picture[|s] [is|are] missing')}: {_listed(missing)}", fix=fix)
    fits, faults = [], []
    for image in images:
        try:
            fits.append(_fit(image))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError(
            f"{counted(len(faults), 'picture[|s]')} cannot be used: {_listed(faults)}", fix="correct or remove them"
        )
    told: dict[str, set[bool]] = {image.dataset: set() for image in images}
    for fit in fits:
        if fit.stored is not None and fit.orientation in _TURNED:
            told[fit.image.dataset].add(fit.stored)
    fitted = []
    counts: Counter[str] = Counter()
    for fit in fits:
        votes = told[fit.image.dataset]
        one, note = _fitted(fit, turned=votes == {True} if fit.stored is None else fit.stored)
        if fit.stored is None and len(votes) != 1:
            note = "are taken as of the upright pictures, whose EXIF orientation their sizes do not show: look at them"
        fitted.append(one)
        if note:
            counts[f"{fit.image.dataset}: annotations {note}"] += 1
    return fitted, [f"{note} ({counted(count, 'picture[|s]')})" for note, count in counts.items()]


def _fit(image: AnnotatedImage) -> _Fit:
    """Find out what an annotation was made of.

    Raises:
        InputError: it fits in no way.
    """
    size = read_image_size(image.path)
    if lacks_end(image.path):
        read_image(image.path)  # which says what is wrong: now, not in the middle of the training
    annotated = (image.height, image.width)
    orientation = _orientation(image)
    upright = same_proportions(annotated, size)
    if orientation not in _TURNED:
        stored: bool | None = False
    elif orientation not in ON_THEIR_SIDE:
        stored = None
    else:
        turned = same_proportions(annotated, size[::-1])
        stored = None if upright and turned else turned
        upright = upright or turned
    if not upright:
        raise InputError(
            f"is {size_text(size)}, but its annotation says {size_text(annotated)}",
            where=image.path,
            fix="use the pictures that were annotated",
        )
    return _Fit(image, size, orientation, stored)


def _fitted(fit: _Fit, *, turned: bool) -> tuple[AnnotatedImage, str]:
    """The image with its annotation turned and scaled, and a note of it."""
    annotated = (fit.image.height, fit.image.width)
    before = fit.size[::-1] if turned and fit.orientation in ON_THEIR_SIDE else fit.size
    if not turned:
        return (fit.image, "") if annotated == fit.size else (
            _changed(fit.image, fit.size, None), "of another size are scaled to their pictures"
        )  # fmt: skip
    scaled = " and scaled" if annotated != before else ""
    note = f"of the unrotated pictures are turned{scaled} (EXIF orientation)"
    return _changed(fit.image, fit.size, fit.orientation), note


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
            mask = upright_samples(mask, orientation)
        if mask.shape != size:
            scaled = Image.fromarray(np.ascontiguousarray(mask)).resize((size[1], size[0]), Image.Resampling.NEAREST)
            mask = np.asarray(scaled)
        found: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask))
        segmentations.append({"size": list(size), "counts": found["counts"].decode()})
    return replace(image, height=size[0], width=size[1], segmentations=tuple(segmentations))


def _orientation(image: AnnotatedImage) -> int:
    with opened_image(image.path) as picture:
        return orientation_of(picture)


def _listed(faults: Sequence[str]) -> str:
    more = f" and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
    return "; ".join(faults[:LISTED]) + more
