"""Annotations of turned and scaled pictures fit, and what fits in no way is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from vossegcli.data.fitting import fit_to_pictures, same_proportions
from vossegcli.errors import InputError
from vossegcli.types import AnnotatedImage

H, W = 40, 60


def stored_mask() -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[5:15, 30:55] = 1
    return mask


def record(path: Path, mask: np.ndarray) -> AnnotatedImage:
    rle = coco_mask.encode(np.asfortranarray(mask))
    segmentation = {"size": list(mask.shape), "counts": rle["counts"].decode()}
    return AnnotatedImage(path, *mask.shape, (segmentation,), (1,), ("thing",), path.name, "set")


def photograph(path: Path, mask: np.ndarray, orientation: int = 1) -> np.ndarray:
    """Write a picture whose object is white; return what is white when it is shown upright."""
    image = Image.fromarray(mask * np.uint8(255)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, quality=95, exif=exif)
    with Image.open(path) as stored:
        return np.array(ImageOps.exif_transpose(stored).convert("L")) > 127


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def decoded(image: AnnotatedImage) -> np.ndarray:
    return np.asarray(coco_mask.decode(image.segmentations[0])) > 0


def test_what_fits_stays_as_it_is(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", stored_mask())
    image = record(tmp_path / "a.jpg", stored_mask())
    assert fit_to_pictures([image]) == ([image], [])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_that_is_cut_off_is_found_at_once(tmp_path: Path, suffix: str) -> None:
    """Not after hours, when its turn comes."""
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"appended by some camera")
    assert fit_to_pictures([record(path, stored_mask())])[1] == []
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"1 picture cannot be used.*damaged or truncated"):
        fit_to_pictures([record(path, stored_mask())])


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("scale", [1, 2])
def test_annotations_of_the_unrotated_picture_are_turned(tmp_path: Path, orientation: int, scale: int) -> None:
    shown = photograph(tmp_path / "a.jpg", stored_mask().repeat(scale, 0).repeat(scale, 1), orientation)
    (image,), (note,) = fit_to_pictures([record(tmp_path / "a.jpg", stored_mask())])
    assert (image.height, image.width) == shown.shape == (W * scale, H * scale)
    assert iou(decoded(image), shown) > 0.95
    assert "turned" in note
    assert ("scaled" in note) == (scale == 2)
    assert "1 picture" in note


@pytest.mark.parametrize("orientation", [6, 8])
def test_annotations_of_the_upright_picture_are_not_turned(tmp_path: Path, orientation: int) -> None:
    shown = photograph(tmp_path / "a.jpg", stored_mask(), orientation)
    (image,), notes = fit_to_pictures([record(tmp_path / "a.jpg", shown.astype(np.uint8))])
    assert iou(decoded(image), shown) == 1.0
    assert notes == []


@pytest.mark.parametrize("orientation", [2, 3, 4])
@pytest.mark.parametrize("stored", [True, False])
def test_what_sizes_do_not_tell_follows_the_other_pictures(tmp_path: Path, orientation: int, *, stored: bool) -> None:
    """Half turns and mirrors keep the size; a quarter turn in the same data set says what was annotated."""
    for name, turn in (("quarter.jpg", 6), ("half.jpg", orientation)):
        shown = photograph(tmp_path / name, stored_mask(), turn)
    masks = {"quarter.jpg": stored_mask(), "half.jpg": stored_mask()}
    if not stored:
        masks = {name: photograph(tmp_path / name, stored_mask(), turn).astype(np.uint8)
                 for name, turn in (("quarter.jpg", 6), ("half.jpg", orientation))}  # fmt: skip
    images, notes = fit_to_pictures([record(tmp_path / name, mask) for name, mask in masks.items()])
    assert iou(decoded(images[1]), shown) > 0.95
    assert len(notes) == stored


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_what_nothing_tells_is_told(tmp_path: Path, orientation: int) -> None:
    square = stored_mask()[:, :H]
    photograph(tmp_path / "a.jpg", square, orientation)
    photograph(tmp_path / "b.jpg", square)
    before = [record(tmp_path / name, square) for name in ("a.jpg", "b.jpg")]
    images, (note,) = fit_to_pictures(before)
    assert images == before
    assert "look at them (1 picture)" in note


@pytest.mark.parametrize("factor", [2, 3])
def test_annotations_of_a_smaller_or_larger_copy_are_scaled(tmp_path: Path, factor: int) -> None:
    large = stored_mask().repeat(factor, 0).repeat(factor, 1)
    shown = photograph(tmp_path / "large.png", large)
    (image,), (note,) = fit_to_pictures([record(tmp_path / "large.png", stored_mask())])
    assert iou(decoded(image), shown) == 1.0
    assert "scaled" in note
    shown = photograph(tmp_path / "small.png", stored_mask())
    (image,), _ = fit_to_pictures([record(tmp_path / "small.png", large)])
    assert iou(decoded(image), shown) == 1.0


def test_faults_are_listed_together(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        photograph(tmp_path / name, stored_mask())
    wrong = np.zeros((H, W + 9), np.uint8)
    with pytest.raises(InputError, match=r"2 pictures cannot be used: .*a\.png: is 60x40.*69x40.*b\.png"):
        fit_to_pictures([record(tmp_path / name, wrong) for name in ("a.png", "b.png")])
    (tmp_path / "c.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1 picture cannot be used: .*c\.png"):
        fit_to_pictures([record(tmp_path / "c.png", wrong)])


def test_missing_pictures_are_listed_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 pictures are missing: .*a\.png; .*b\.png"):
        fit_to_pictures([record(tmp_path / name, stored_mask()) for name in ("a.png", "b.png")])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((480, 640), (240, 320), True), ((333, 500), (667, 1000), True), ((333, 500), (1332, 2001), True),
        ((480, 640), (640, 480), False), ((480, 640), (240, 330), False), ((100, 100), (50, 60), False),
    ],
)  # fmt: skip
def test_proportions(one: tuple[int, int], other: tuple[int, int], same: bool) -> None:
    assert same_proportions(one, other) is same
    assert same_proportions(other, one) is same
