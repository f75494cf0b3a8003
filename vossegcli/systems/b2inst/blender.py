"""Blender: bases inside a box, weighed by the instance's attention, give its mask (BlendMask, Chen et al. 2020).

Shape letters: N instances, K bases, A side of the attention, R side of the mask, S side of an enlarged one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from vossegcli.systems.b2inst.basis_head import STRIDE


def crop_bases(bases: Tensor, boxes: Tensor, images: Tensor, resolution: int) -> Tensor:
    """Cut the bases (B,K,H/4,W/4) at boxes (N,4) in pixels of images (N,): (N,K,R,R)."""
    rois = torch.cat([images.to(boxes.dtype).unsqueeze(1), boxes], dim=1)
    crops: Tensor = roi_align(bases, rois, resolution, spatial_scale=1 / STRIDE, sampling_ratio=1, aligned=True)
    return crops


def blend(crops: Tensor, attention: Tensor) -> Tensor:
    """Mask logits (N,R,R) of cropped bases (N,K,R,R) and attention (N,K,A,A): softmax over the bases, weighted sum."""
    enlarged = F.interpolate(attention, size=crops.shape[2:], mode="bilinear", align_corners=False)
    return (crops * enlarged.softmax(dim=1)).sum(dim=1)


def fitting_resolution(boxes: Tensor, least: int, most: int) -> int:
    """Side that the masks of boxes (N,4) need: `least`, doubled until it has the cells of the largest, up to `most`."""
    cells = float((boxes[:, 2:] - boxes[:, :2]).max()) / STRIDE if len(boxes) else 0.0
    resolution = least
    while resolution < min(cells, most):
        resolution = min(2 * resolution, most)
    return resolution


def enlarge(masks: Tensor, boxes: Tensor, bases: Tensor, images: Tensor, attention: Tensor, resolution: int) -> Tensor:
    """Bring masks to a larger side: those of boxes with more cells than they have are assembled anew.

    Args:
        masks: (N,R,R) probabilities inside the boxes.
        boxes: (N,4) in pixels.
        bases: (B,K,H/4,W/4).
        images: (N,) the image of each.
        attention: (N,K,A,A).
        resolution: S.

    Returns:
        (N,S,S) probabilities.
    """
    if resolution == masks.shape[1]:
        return masks
    size = (resolution, resolution)
    fine = F.interpolate(masks.unsqueeze(1), size=size, mode="bilinear", align_corners=False)[:, 0]
    large = ((boxes[:, 2:] - boxes[:, :2]).amax(dim=1) > STRIDE * masks.shape[1]).nonzero().flatten()
    crops = crop_bases(bases, boxes[large], images[large], resolution)
    return fine.index_copy(0, large, blend(crops, attention[large]).sigmoid())
