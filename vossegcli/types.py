"""Frozen records that cross the layers. Standard library only; arrays appear in annotations alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Task = Literal["propagate", "fewshot", "instance", "track"]  # the commands that a system can work for

T = TypeVar("T")


@dataclass(frozen=True)
class FrameSequence:
    """One video to segment: image files in order, or a file that holds them all.

    Attributes:
        name: POSIX path that names the sequence in the output tree, e.g. `bear` or `2024/run-3/cam1`.
        frames: image files in order; empty for a video file.
        video: the video or image stack, or None for a folder of frames.
        layout: `folder`, `video`, `root`, `davis`, `youtube-vos` or `long-video`.
        masks: the folder of masks that the layout itself provides, if any.
        notes: what lies beside the frames and was left out.
        problem: why it cannot be segmented at all, or None.
    """

    name: str
    frames: tuple[Path, ...]
    video: Path | None
    layout: str
    masks: Path | None
    notes: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Found(Sequence[T]):
    """Items of an input, with notes.

    Attributes:
        items: in order.
        notes: what was left out of the input as a whole.
    """

    items: tuple[T, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the items."""
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Give an item, or some."""
        return self.items[index]


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        name: file stem for image files, zero-padded index (`00042`) for video files.
        image: (H,W,3) uint8 RGB, EXIF orientation applied.
    """

    name: str
    image: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LabelMap:
    """An annotated frame as object ids.

    Attributes:
        ids_map: (H,W) uint8 or uint16, 0 = background, other values = object ids as in the file.
        ids: the object ids present, ascending, without 0.
        note: what was interpreted or repaired while reading (e.g. "0/255 read as object 1"), or None.
        numbered: whether the file holds no ids but colours or shades, numbered in the order of their values.
        colors: (R, G, B) of each of the ids, where the file holds colours, shades or white; else empty.
    """

    ids_map: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    ids: tuple[int, ...]
    note: str | None = None
    numbered: bool = False
    colors: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of a COCO instances file or of a folder of classes.

    Attributes:
        path: the image file.
        height: H in pixels.
        width: W in pixels.
        segmentations: one compressed RLE (`{"size": [H, W], "counts": str}`) an object, crowds left out.
        categories: category id of each object, or the number of its class folder.
        names: name of each object's category.
        source: images that share it come from one photo, slide or video; splits keep them together.
        dataset: name of the annotation file or folder, for balanced sampling.
        identities: id of each object in the video that the image is a frame of; None = of no video.
    """

    path: Path
    height: int
    width: int
    segmentations: tuple[dict[str, object], ...]
    categories: tuple[int, ...]
    names: tuple[str, ...]
    source: str
    dataset: str
    identities: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Shard:
    """The part of a batch that one of several runs does; every item is in exactly one of `count` shards.

    Attributes:
        index: from 1 to `count`.
        count: of the shards.
    """

    index: int
    count: int

    def holds(self, name: str) -> bool:
        """Return True if an item is in this shard; that depends on its name alone, not on the other items."""
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


@dataclass(frozen=True)
class ItemResult:
    """Result of one item of a batch; a line of `run.jsonl`.

    Attributes:
        name: of the item.
        status: `done`, `skipped` (was done before) or `failed`.
        frames: frames that were processed now.
        seconds: time spent.
        reason: why it was skipped or failed, or None.
        error_type: name of the error class of a failure, or None.
        notes: what was interpreted or repaired in the input.
    """

    name: str
    status: str
    frames: int
    seconds: float
    reason: str | None = None
    error_type: str | None = None
    notes: tuple[str, ...] = ()
