"""Run-length encodings: what pycocotools writes is read, what would hang or crash it is refused."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from vossegcli.io.results.rle import compressed_rle, cropped_mask, decoded_runs, region_rle


@pytest.mark.parametrize("seed", range(20))
def test_runs_of_real_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(1, 200, 2))
    mask = (rng.random((height, width)) < rng.choice([0.0, 0.01, 0.5, 1.0])).astype(np.uint8)
    rle = coco_mask.encode(np.asfortranarray(mask))
    flat = mask.ravel(order="F")
    borders = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    runs = np.diff([0, *borders, flat.size])
    assert decoded_runs(rle["counts"].decode()).tolist() == runs.tolist()
    for counts in (rle["counts"], rle["counts"].decode(), runs.tolist()):
        read = compressed_rle({"size": [height, width], "counts": counts}, height, width)
        assert np.array_equal(coco_mask.decode(read), mask)


def test_polygons() -> None:
    read = compressed_rle([[1, 1, 5, 1, 5, 4, 1, 4]], 10, 10)
    assert coco_mask.area(read) == 12


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, "x", [], [[1, 2]], [[1, 2, 3, 4, 5]], [["a"] * 6], [[float("nan")] * 6], {}, {"size": [4, 4]},
        {"size": [4, 5], "counts": "04"}, {"size": "44", "counts": "04"}, {"size": [4, 4], "counts": None},
        {"size": [4, 4], "counts": 4}, {"size": [4, 4], "counts": ""}, {"size": [4, 4], "counts": "8P?oil`J"},
        {"size": [4, 4], "counts": "0\u00e9"}, {"size": [4, 4], "counts": "P"},
        {"size": [4, 4], "counts": "o" * 14 + "0"},
        {"size": [4, 4], "counts": [-1, 17]}, {"size": [4, 4], "counts": [3, 3]}, {"size": [4, 4], "counts": [16.0]},
    ],
)  # fmt: skip
def test_malformed_ones_are_refused(bad: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the caller's
        compressed_rle(bad, 4, 4)


def test_noise_never_reaches_pycocotools() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        counts = "".join(chr(c) for c in rng.integers(48, 112, rng.integers(1, 40)))
        try:
            assert coco_mask.decode(compressed_rle({"size": [30, 40], "counts": counts}, 30, 40)).shape == (30, 40)
        except ValueError:
            refused += 1
    assert refused > 290


@pytest.mark.parametrize("seed", range(12))
def test_a_region_is_encoded_as_its_whole_image_would_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 20, 2)
    top, left = rng.integers(0, height), rng.integers(0, width)
    region = rng.random((rng.integers(1, height - top + 1), rng.integers(1, width - left + 1))) < rng.choice([0.5, 1.0])
    whole = np.zeros((height, width), np.uint8)
    whole[top : top + region.shape[0], left : left + region.shape[1]] = region
    wanted = coco_mask.encode(np.asfortranarray(whole))["counts"].decode()
    assert region_rle(region, int(top), int(left), int(height), int(width))["counts"] == wanted


@pytest.mark.parametrize("seed", range(6))
def test_a_cropped_mask_is_the_part_with_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((30, 40), np.uint8)
    top, left = rng.integers(0, 20, 2)
    mask[top : top + rng.integers(1, 11), left : left + rng.integers(1, 21)] = 1
    mask &= rng.random(mask.shape) < 0.7
    mask[:, 5] |= seed == 1  # a whole column: its run touches the next
    mask[:, 6] |= seed == 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    first_row, first_column, part = cropped_mask({"size": [30, 40], "counts": rle["counts"].decode()})
    painted = np.zeros_like(mask)
    painted[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]] = part
    assert np.array_equal(painted, mask)
    assert part.any(axis=1)[[0, -1]].all() and part.any(axis=0)[[0, -1]].all()


def test_an_empty_mask_has_no_part() -> None:
    rle = coco_mask.encode(np.zeros((5, 7), np.uint8, order="F"))
    assert cropped_mask({"size": [5, 7], "counts": rle["counts"].decode()})[2].shape == (0, 0)
