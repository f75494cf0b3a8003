"""Videos made harder: real sequences with masks, changed so that masks fail, to choose by and to measure the score.

`shrinking` begins with a window that the object fills and widens to the whole frame: what fills its first frame must
become small. `growing` begins with the whole frame and ends with what the object fills. `with_a_cut` goes on with the
frames of another video, where the objects no longer are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vossegcli.io.masks.label_maps import read_label_map, read_mask_folder
from vossegcli.io.media.images import read_image

Picture = npt.NDArray[np.uint8]
LabelMap = npt.NDArray[np.integer]
Window = tuple[float, float, float, float]

FRAMES_OF_ZOOM = 20
FRAMES_BEFORE_CUT, FRAMES_AFTER_CUT = 10, 8
FILLED = 1.15  # side of the smallest window to that of the object's box


@dataclass(frozen=True)
class Video:
    """A sequence: how to get its frames, in order by name, and the label maps of some of them."""

    name: str
    frames: dict[str, Callable[[], Picture]]
    masks: dict[str, LabelMap]


def read_video(name: str, folder: Path, most: int | None) -> Video:
    """List the first `most` frames of a folder and read their masks."""
    paths = {path.stem: path for path in sorted((folder / "frames").iterdir())[:most]}
    masks = {stem: path for stem, path in read_mask_folder(folder / "masks").items() if stem in paths}
    frames = {stem: _Reader(path) for stem, path in paths.items()}
    return Video(name, frames, {stem: read_label_map(path, allow_empty=True).ids_map for stem, path in masks.items()})


def shrinking(video: Video) -> Video | None:
    """A window that widens from the largest object of the first mask to the frame; None where too few masks follow."""
    return _zooming(video, "shrinking", outwards=True)


def growing(video: Video) -> Video | None:
    """A window that follows the largest object of the first mask, from the frame to its last mask; None likewise."""
    return _zooming(video, "growing", outwards=False)


def _zooming(video: Video, what: str, *, outwards: bool) -> Video | None:
    """A window whose sides change by the same factor from frame to frame."""
    masked = [stem for stem in video.frames if stem in video.masks][:FRAMES_OF_ZOOM]
    first = video.masks[masked[0]]
    ids, areas = np.unique(first[first > 0], return_counts=True)
    if len(masked) < FRAMES_OF_ZOOM or not len(ids):
        return None
    own = int(ids[areas.argmax()])
    share, centre = _view(video.masks[masked[0 if outwards else -1]] == own)
    frames, masks = {}, {}
    for number, stem in enumerate(masked):
        done = number / (len(masked) - 1)
        if not outwards and (video.masks[stem] == own).any():
            centre = _view(video.masks[stem] == own)[1]
        window = _window(*centre, min(1.0, share ** (1.0 - done if outwards else done)), first.shape)
        frames[stem] = _Zoomed(video.frames[stem], window)
        label_map = np.where(video.masks[stem] == own, 1, 0).astype(np.uint8)
        masks[stem] = _zoom(label_map, window, Image.Resampling.NEAREST)
    return Video(f"{video.name} {what}", frames, masks)


def _view(mask: npt.NDArray[np.bool_]) -> tuple[float, tuple[float, float]]:
    """Share of the frame's sides that an object fills, with a margin, and its middle (x, y)."""
    y, x = np.nonzero(mask)
    share = FILLED * max((np.ptp(y) + 1) / mask.shape[0], (np.ptp(x) + 1) / mask.shape[1])
    return float(share), (float(x.mean()), float(y.mean()))


def with_a_cut(video: Video, other: Video) -> Video:
    """The first frames up to some masks, then frames of another video at the same size, where nothing is marked."""
    stems = list(video.frames)
    start = next(k for k, stem in enumerate(stems) if stem in video.masks)
    kept = stems[start : start + FRAMES_BEFORE_CUT]
    shape = video.masks[kept[0]].shape
    frames = {f"0 {stem}": video.frames[stem] for stem in kept}
    masks = {f"0 {stem}": video.masks[stem] for stem in kept if stem in video.masks}
    for stem in list(other.frames)[:FRAMES_AFTER_CUT]:
        frames[f"1 {stem}"] = _Resized(other.frames[stem], (shape[1], shape[0]))
        masks[f"1 {stem}"] = np.zeros(shape, np.uint8)
    return Video(f"{video.name} cut", frames, masks)


def _window(x: float, y: float, share: float, size: tuple[int, int]) -> Window:
    """A window (left, top, right, bottom) of a share of the frame's sides around a point, inside the frame."""
    height, width = size
    w, h = share * width, share * height
    left, top = min(max(x - w / 2, 0.0), width - w), min(max(y - h / 2, 0.0), height - h)
    return left, top, left + w, top + h


def _zoom(picture: npt.NDArray[np.uint8], window: Window, how: Image.Resampling) -> npt.NDArray[np.uint8]:
    """Enlarge a window of a picture to the picture's size."""
    return np.asarray(Image.fromarray(picture).resize((picture.shape[1], picture.shape[0]), how, box=window))


@dataclass(frozen=True)
class _Reader:
    path: Path

    def __call__(self) -> Picture:
        return read_image(self.path)


@dataclass(frozen=True)
class _Zoomed:
    read: Callable[[], Picture]
    window: Window

    def __call__(self) -> Picture:
        return _zoom(self.read(), self.window, Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class _Resized:
    read: Callable[[], Picture]
    size: tuple[int, int]

    def __call__(self) -> Picture:
        return np.asarray(Image.fromarray(self.read()).resize(self.size, Image.Resampling.BILINEAR))
