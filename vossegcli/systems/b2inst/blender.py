"""Blender: bases inside a box, weighed by the instance's attention, give its mask (BlendMask, Chen et al. 2020).

Shape letters: N instances, K bases, A side of the attention, R side of the mask.
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
