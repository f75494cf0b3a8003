"""Training samples: what `data` makes and `systems` train on. torch only.

Shape letters: B clips, images or groups, T frames, M images a group, n instances of an image or a clip, H W pixels,
h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Correspondences:
    """The part of a texture that the centre of each cell shows; cells that show the same part correspond.

    Attributes:
        coordinates: (B,T,h,w,2) float32 place (x, y) on the texture, in cells.
        textures: (B,T,h,w) int64 number of the texture (0 = background, l = cut-out l).
    """

    coordinates: Tensor
    textures: Tensor

    def clip(self, index: int) -> Correspondences:
        """Take out one clip: B = 1."""
        return Correspondences(self.coordinates[index : index + 1], self.textures[index : index + 1])


@dataclass(frozen=True)
class ClipSamples:
    """Clips with given masks.

    Attributes:
        frames: (B,T,3,H,W) float32 RGB in [0, 1].
        labels: (B,T,H,W) int64, 0 = background, objects 1..classes-1; every object is visible in frame 0.
        coarse: of the cells at stride 16.
        fine: of the cells at stride 8.
        classes: background and the most objects of a clip; objects that a clip lacks have empty masks.
    """

    frames: Tensor
    labels: Tensor
    coarse: Correspondences
    fine: Correspondences
    classes: int


def join_clips(parts: Sequence[ClipSamples]) -> ClipSamples:
    """Make one batch of batches of the same frames, size and classes."""
    if len(parts) == 1:
        return parts[0]

    def join(places: Sequence[Correspondences]) -> Correspondences:
        return Correspondences(
            torch.cat([one.coordinates for one in places]), torch.cat([one.textures for one in places])
        )

    return ClipSamples(
        frames=torch.cat([part.frames for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        coarse=join([part.coarse for part in parts]),
        fine=join([part.fine for part in parts]),
        classes=parts[0].classes,
    )


@dataclass(frozen=True)
class EpisodeSamples:
    """Few-shot episodes: groups of images that show one class; each image is segmented from some of the others.

    Attributes:
        images: (B,M,3,H,W) float32 RGB in [0, 1].
        masks: (B,M,H,W) float32 of 0 and 1, the group's class.
        supports: (B,M,M) bool: from which images (last axis) each image is segmented; never from itself.
        labels: (B,M,H,W) int64, the class of every pixel (its number + 1), or the background of a data set (below 0).
        classes: (B,) int64 number of each group's class.
    """

    images: Tensor
    masks: Tensor
    supports: Tensor
    labels: Tensor
    classes: Tensor


@dataclass(frozen=True)
class InstanceSamples:
    """Images with instances.

    Attributes:
        images: (B,3,H,W) float32 RGB in [0, 1].
        ids: (B,H,W) int64, 0 = background, i + 1 = the i-th instance of the image.
        boxes: (n,4) float32 (x1, y1, x2, y2) of each image.
        labels: (n,) int64 number of the class, from 0, of each image.
        classes_map: (B,H,W) int64, 0 = background, l + 1 = class l.
        distance: (B,H,W) float32 distance to the nearest boundary of an instance, 1 from some way off.
        annotated: (B,H,W) bool, where a pixel without an id is known to be background; None = everywhere.
    """

    images: Tensor
    ids: Tensor
    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    classes_map: Tensor
    distance: Tensor
    annotated: Tensor | None = None


@dataclass(frozen=True)
class InstanceClipSamples:
    """Clips with instances.

    Attributes:
        frames: (B,T,3,H,W) float32 RGB in [0, 1].
        ids: (B,T,H,W) int64, 0 = background, i + 1 = the i-th instance of the clip, where it can be seen.
        labels: (n,) int64 number of the class, from 0, of each clip.
    """

    frames: Tensor
    ids: Tensor
    labels: tuple[Tensor, ...]
