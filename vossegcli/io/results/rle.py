"""Run-length encodings of masks, as COCO stores them, checked: pycocotools hangs or crashes on malformed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

_FIRST, _LAST = 48, 111  # the characters that encode six bits each
_MORE, _SIGN, _BITS = 0x20, 0x10, 5
_LONGEST = 13  # characters of a 64-bit number
_FEWEST_POINTS = 3
_FAR = 1 << 40  # pixels; no image has so many


def compressed_rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:  # noqa: ANN401 - COCO allows three forms
    """Turn polygons, uncompressed RLE or compressed RLE into compressed RLE with a str count.

    Args:
        segmentation: as in a COCO file.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        ValueError: it is none of the three, or its runs do not fill an image of that size.
    """
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(_polygons(segmentation, height, width), height, width))
        return {"size": [height, width], "counts": rle["counts"].decode()}
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("neither polygons nor an RLE with size and counts")
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        raise ValueError(f"size {size!r} instead of {[height, width]}")
    if isinstance(counts, bytes):
        counts = counts.decode("latin-1")
    if isinstance(counts, list):
        _check_runs(_integers(counts), height * width)
        rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return {"size": [height, width], "counts": rle["counts"].decode()}
    if not isinstance(counts, str):
        raise ValueError(f"counts are {type(counts).__name__}")
    _check_runs(decoded_runs(counts), height * width)
    return {"size": [height, width], "counts": counts}


def decoded_runs(counts: str) -> npt.NDArray[np.int64]:
    """Decode the lengths of the runs, background first.

    A number is written in groups of five bits, lowest first, each in a character; a bit says whether another follows.
    From the fourth on, numbers are differences to the last but one.

    Raises:
        ValueError: a character that is no code, or the last number has no end.
    """
    try:
        codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64)
    except UnicodeEncodeError as error:
        raise ValueError("counts hold characters that are no code") from error
    if not codes.size or codes.min() < _FIRST or codes.max() > _LAST:
        raise ValueError("counts hold characters that are no code")
    codes -= _FIRST
    ends = np.flatnonzero((codes & _MORE) == 0)
    if not ends.size or ends[-1] != codes.size - 1:
        raise ValueError("counts are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() >= _LONGEST:
        raise ValueError("counts hold a number beyond any image")
    place = np.arange(codes.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * place), starts)
    negative = (codes[ends] & _SIGN) > 0
    numbers[negative] -= np.int64(1) << (_BITS * lengths[negative])
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _check_runs(runs: npt.NDArray[np.int64], pixels: int) -> None:
    if (runs < 0).any() or (runs > pixels).any() or int(runs.sum()) != pixels:
        raise ValueError(f"the runs do not fill the {pixels} pixels of the image")


def _integers(counts: list[Any]) -> npt.NDArray[np.int64]:
    numbers = _numbers(counts)
    if numbers is None or numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= _FAR:
        raise ValueError("counts are no list of lengths")
    return numbers.astype(np.int64)


def _polygons(polygons: list[Any], height: int, width: int) -> list[list[float]]:
    far = 2 * max(height, width)  # beyond the image by more than it is large: pycocotools would walk all the way
    for polygon in polygons:
        numbers = _numbers(polygon) if isinstance(polygon, list) else None
        if numbers is None or numbers.size < 2 * _FEWEST_POINTS or numbers.size % 2 or not np.isfinite(numbers).all():
            raise ValueError("a polygon is no list of at least three points x, y, x, y ...")
        if np.abs(numbers).max() > far:
            raise ValueError("a polygon reaches far beyond the image")
    if not polygons:
        raise ValueError("no polygon")
    return polygons


def _numbers(values: list[Any]) -> npt.NDArray[Any] | None:
    """The numbers (n,) of a list; None where it is empty, nested, or holds something else."""
    try:
        numbers = np.array(values)
    except ValueError:  # lists of different lengths
        return None
    return numbers if numbers.ndim == 1 and numbers.size and numbers.dtype.kind in "biuf" else None


def region_rle(region: npt.NDArray[np.bool_], top: int, left: int, height: int, width: int) -> dict[str, Any]:
    """Compressed RLE of a mask that is empty outside a region (h,w); the rest of the image is never written out.

    Args:
        region: the part of the mask.
        top: row of the image where it begins.
        left: column of the image where it begins.
        height: of the image.
        width: of the image.
    """
    columns = np.zeros((region.shape[1], region.shape[0] + 2), np.int8)
    columns[:, 1:-1] = region.T
    change = np.diff(columns, axis=1)
    begins, ends = (
        (left + column) * height + top + row for column, row in (np.nonzero(change == step) for step in (1, -1))
    )
    if not begins.size:
        return compressed_rle({"size": [height, width], "counts": [height * width]}, height, width)
    apart = begins[1:] != ends[:-1]  # a run may go on at the top of the next column
    begins, ends = np.append(begins[:1], begins[1:][apart]), np.append(ends[:-1][apart], ends[-1:])
    bounds = np.concatenate([[0], np.stack([begins, ends], axis=1).ravel(), [height * width]])
    counts = np.diff(bounds)
    counts = counts if counts[-1] else counts[:-1]
    return compressed_rle({"size": [height, width], "counts": counts.tolist()}, height, width)


def cropped_mask(rle: dict[str, Any]) -> tuple[int, int, npt.NDArray[np.bool_]]:
    """Decode the part of a mask that holds its pixels; costs what the mask has of them, not what the image has.

    Args:
        rle: compressed RLE with a str count.

    Returns:
        Upper row, left column, and the mask (h,w) from there on; (0,0) where the mask is empty.
    """
    height = int(rle["size"][0])
    ends = np.cumsum(decoded_runs(rle["counts"]))
    starts, stops = ends[0::2][: ends.size // 2], ends[1::2]
    lengths = stops - starts
    if not lengths.sum():
        return 0, 0, np.zeros((0, 0), np.bool_)
    first = np.cumsum(lengths) - lengths  # place of each run among the pixels
    pixels = np.arange(int(lengths.sum())) + np.repeat(starts - first, lengths)  # column by column
    columns, rows = np.divmod(pixels, height)
    top, left = int(rows.min()), int(columns.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), np.bool_)
    mask[rows - top, columns - left] = True
    return top, left, mask
