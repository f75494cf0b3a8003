"""The samples that systems train on.

Shape letters: B clips, T frames, K objects (background not counted), H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class CellPlaces(Protocol):
    """What cells show: (B,T,h,w,2) place on a texture in cells, and (B,T,h,w) int64 which texture it is."""

    @property
    def coordinates(self) -> Tensor: ...  # noqa: D102
    @property
    def textures(self) -> Tensor: ...  # noqa: D102


class ClipBatch(Protocol):
    """Training clips.

    Attributes:
        frames: (B,T,3,H,W) float32 RGB in [0, 1].
        labels: (B,T,H,W) int64 in 0..classes-1, 0 = background.
        coarse: what the cells at stride 16 show.
        fine: what the cells at stride 8 show.
        classes: background and the most objects of a clip; objects that a clip lacks have empty masks.
    """

    @property
    def frames(self) -> Tensor: ...  # noqa: D102
    @property
    def labels(self) -> Tensor: ...  # noqa: D102
    @property
    def coarse(self) -> CellPlaces: ...  # noqa: D102
    @property
    def fine(self) -> CellPlaces: ...  # noqa: D102
    @property
    def classes(self) -> int: ...  # noqa: D102


class EpisodeBatch(Protocol):
    """Few-shot episodes: B groups of M images that show one class; each image is segmented from some of the others.

    Attributes:
        images: (B,M,3,H,W) float32 RGB in [0, 1].
        masks: (B,M,H,W) float32 of 0 and 1, the group's class.
        supports: (B,M,M) bool: from which images (last axis) each image is segmented; never from itself.
        labels: (B,M,H,W) int64, what every pixel is: a class, or the background of a data set.
    """

    @property
    def images(self) -> Tensor: ...  # noqa: D102
    @property
    def masks(self) -> Tensor: ...  # noqa: D102
    @property
    def supports(self) -> Tensor: ...  # noqa: D102
    @property
    def labels(self) -> Tensor: ...  # noqa: D102


class InstanceBatch(Protocol):
    """Images with instances.

    Attributes:
        images: (B,3,H,W) float32 RGB in [0, 1].
        ids: (B,H,W) int64, 0 = background, i + 1 = the i-th instance of the image.
        boxes: (n,4) float32 (x1, y1, x2, y2) of each image.
        labels: (n,) int64 number of the class, from 0, of each image.
        classes_map: (B,H,W) int64, 0 = background, l + 1 = class l.
        distance: (B,H,W) float32 distance to the nearest boundary of an instance, 1 from some way off.
    """

    @property
    def images(self) -> Tensor: ...  # noqa: D102
    @property
    def ids(self) -> Tensor: ...  # noqa: D102
    @property
    def boxes(self) -> Sequence[Tensor]: ...  # noqa: D102
    @property
    def labels(self) -> Sequence[Tensor]: ...  # noqa: D102
    @property
    def classes_map(self) -> Tensor: ...  # noqa: D102
    @property
    def distance(self) -> Tensor: ...  # noqa: D102


class InstanceClipBatch(Protocol):
    """Clips of two frames with instances.

    Attributes:
        frames: (B,2,3,H,W) float32 RGB in [0, 1].
        ids: (B,2,H,W) int64, 0 = background, i + 1 = the i-th instance of the clip, where it can be seen.
        labels: (n,) int64 number of the class, from 0, of each clip.
    """

    @property
    def frames(self) -> Tensor: ...  # noqa: D102
    @property
    def ids(self) -> Tensor: ...  # noqa: D102
    @property
    def labels(self) -> Sequence[Tensor]: ...  # noqa: D102
