"""Masks in a video file: white on black, or flat colours, with the noise of a lossy codec.

Shapes: H W pixels; V flat colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from vossegcli.errors import InputError
from vossegcli.io.masks.edge_repair import photograph_error
from vossegcli.io.masks.mask_stacks import MaskStack, stack_names
from vossegcli.io.masks.palette import PALETTE
from vossegcli.io.masks.soft_edges import IndexedMask, index_values, inspect_edges, snap_to_flat
from vossegcli.io.media.video import VideoFrames
from vossegcli.wording import counted

_LOSSLESS = frozenset({"ffv1", "png", "apng", "gif", "huffyuv", "ffvhuff", "utvideo", "qtrle", "rawvideo", "magicyuv"})
_NEAR = 40  # levels: what a codec adds to a flat colour, in any frame
_MOST_FAR = 0.25  # of the pixels of a frame, which lie on edges of its objects
_MOST_COLORS = 64
_MIN_CONTRAST = 64  # levels between black and white, in a film of two levels
_GREY_TOLERANCE = 12
_MIN_SHARE = 1e-5  # of the pixels: rarer colours are noise

Colors = npt.NDArray[np.int64]


def read_mask_video(path: Path, frames: Sequence[str] = ()) -> MaskStack:
    """Read the frames of a mask video.

    * Grey levels in a lossless video are ids.
    * Two levels, with any noise: cut at half, object 1.
    * Flat colours: ids of the DAVIS palette if all are near one, else numbered in the order of (R, G, B) over the
      whole video. Near black is background.

    Args:
        path: a video file.
        frames: names of the frames that it belongs to, if they are known.

    Raises:
        InputError: it is no video, or shows pictures instead of masks.
    """
    exact = _codec(path) in _LOSSLESS
    reader = VideoFrames(path)
    names = stack_names(len(reader), frames, path)
    stack = MaskStack(iter(()), [counted(len(names), "mask[|s] [was|were] read from a video, from the first frame on")])
    if len(frames) > len(names):
        stack.notes.append(f"the video of masks ends after {len(names)} of {len(frames)} frames")
    white = _white(reader)
    if exact and white is None:
        stack.maps = _exact(path, reader, names, stack)
    elif white is not None:
        stack.notes.append("two levels were cut at half: object 1")
        stack.maps = ((name, (_grey(image) > white / 2).astype(np.uint8)) for name, image in _images(reader, names))
    else:
        stack.maps = _colored(path, reader, names, stack)
    return stack


def _images(reader: VideoFrames, names: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    for name, frame in zip(names, reader.iterate(), strict=False):
        yield name, frame.image


def _grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    middle: npt.NDArray[np.uint8] = image[..., 1]
    return middle


def _white(reader: VideoFrames) -> int | None:
    """The bright level of a film of two grey levels, or None if it is none."""
    histogram = np.zeros(256, np.int64)
    for frame in reader.iterate():
        spread = frame.image.max(axis=2).astype(int) - frame.image.min(axis=2)
        if (spread > _GREY_TOLERANCE).mean() > _MIN_SHARE:
            return None
        histogram += np.bincount(_grey(frame.image).ravel(), minlength=256)
    top = int(np.flatnonzero(histogram > _MIN_SHARE * histogram.sum()).max())
    inner = histogram[int(0.15 * top) : max(int(0.85 * top), 1)].sum()
    return top if top >= _MIN_CONTRAST and inner < 0.1 * max(histogram[int(0.85 * top) :].sum(), 1) else None


def _exact(
    path: Path, reader: VideoFrames, names: Sequence[str], stack: MaskStack
) -> Iterator[tuple[str, npt.NDArray[np.integer]]]:
    """Values without loss: grey levels as ids, colours by one table for the whole video."""
    keys: set[int] = set()
    for frame in reader.iterate():
        keys |= set(np.unique(_key(frame.image)).tolist())
    colors = np.array([[key >> 16, key >> 8 & 255, key & 255] for key in sorted(keys)], np.int64)
    if len(colors) > _MOST_COLORS and not (colors == colors[:, :1]).all():
        raise photograph_error(path, len(colors))
    if (colors == colors[:, :1]).all():
        yield from ((name, _grey(image)) for name, image in _images(reader, names))
        return
    ids = _ids_of_colors(colors, stack.notes)
    for name, image in _images(reader, names):
        yield name, ids[np.searchsorted(sorted(keys), _key(image))]


def _key(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    red, green, blue = np.moveaxis(image.astype(np.int64), -1, 0)
    key: npt.NDArray[np.int64] = red << 16 | green << 8 | blue
    return key


def _colored(
    path: Path, reader: VideoFrames, names: Sequence[str], stack: MaskStack
) -> Iterator[tuple[str, npt.NDArray[np.integer]]]:
    """Snap every frame to its flat colours, and number them by one table for the whole video."""
    table = np.zeros((1, 3), np.int64)
    counts = np.zeros(1, np.int64)
    for frame in reader.iterate():
        flat = _flat(path, frame.image)
        table, counts = _merged(table, counts, flat)
        if len(table) > _MOST_COLORS:
            raise photograph_error(path, len(table))
    kept = table[counts > _MIN_SHARE * counts.sum()]
    kept = kept[np.lexsort(kept.T[::-1])]
    ids = _ids_of_colors(kept, stack.notes)
    for name, image in _images(reader, names):
        flat = _flat(path, image)
        nearest = np.abs(flat.values[:, None] - kept[None]).max(axis=2).argmin(axis=1)
        yield name, ids[nearest][flat.codes]


def _flat(path: Path, image: npt.NDArray[np.uint8]) -> IndexedMask:
    mask = index_values(image, lossy=True)
    if len(mask.values) == 1:
        return mask
    report = inspect_edges(mask)
    if not report.flat.any():
        raise photograph_error(path, len(mask.values))
    snapped = snap_to_flat(mask, report)[0]
    far = np.abs(image - snapped.values[snapped.codes]).max(axis=2) > _NEAR
    if far.mean() > _MOST_FAR:
        raise photograph_error(path, len(mask.values))
    return snapped


def _merged(table: Colors, counts: npt.NDArray[np.int64], flat: IndexedMask) -> tuple[Colors, npt.NDArray[np.int64]]:
    """Add the colours of a frame to those of the video that are not near one already."""
    for color, count in zip(flat.values, flat.counts, strict=True):
        distances = np.abs(table - color).max(axis=1)
        if distances.min() <= _NEAR:
            counts[distances.argmin()] += count
        else:
            table, counts = np.vstack([table, color]), np.append(counts, count)
    return table, counts


def _ids_of_colors(colors: Colors, notes: list[str]) -> npt.NDArray[np.uint8]:
    """The id of each of V colours; near black is 0."""
    ids = np.zeros(len(colors), np.uint8)
    objects = np.flatnonzero(colors.max(axis=1) > _NEAR)
    palette = PALETTE[1:23].astype(np.int64)
    distances = np.abs(colors[objects][:, None] - palette[None]).max(axis=2)
    if len(objects) and (distances.min(axis=1) <= _NEAR // 2).all():
        ids[objects] = 1 + distances.argmin(axis=1)
        notes.append("colours read as ids of the DAVIS palette")
    else:
        ids[objects] = np.arange(1, len(objects) + 1)
        shown = ", ".join(f"{tuple(colors[row].tolist())} = {ids[row]}" for row in objects[:8])
        notes.append(f"colours read as objects: {shown}")
    return ids


def _codec(path: Path) -> str:
    try:
        with av.open(str(path)) as container:
            return str(container.streams.video[0].codec_context.name)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise InputError(
            "is neither a mask, an annotation file, a zip archive, a NumPy file nor a video that can be read",
            where=path,
            fix="give one of these",
        ) from error
