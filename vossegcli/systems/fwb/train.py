"""Training objective of FWB on episodes: the paper's cross entropy, and contrast between the classes of a batch.

Shape letters: B groups, M images a group, C channels, L labels, H W pixels, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.losses import dice_loss
from vossegcli.samples import EpisodeSamples
from vossegcli.systems.fwb.feature_weighting import Levels, class_average, region_levels, relevance, similarity_maps
from vossegcli.systems.fwb.losses import mask_cross_entropy
from vossegcli.systems.fwb.model import FWB, masks_at_cells

TEMPERATURE = 0.1


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; `dice` and `contrast` are additions, the latter for backbones without pre-training."""

    cross_entropy: float = 0.5
    dice: float = 1.0
    contrast: float = 1.0


def episode_objective(model: FWB, batch: EpisodeSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Segment each image from others of its group.

    The gradient flows through supports and queries alike (the authors' code stops it in the supports).

    Returns:
        The terms and their weighted sum under `loss`; and `iou`, the mean IoU of the classes.
    """
    features = model.encode(batch.images.flatten(0, 1))  # (B*M,C,h,w)
    cells = masks_at_cells(batch.masks.flatten(0, 1), (features.shape[2], features.shape[3]))
    maps, levels = group_similarities(features, cells, batch.supports)
    logits = model.head(model.head_base(features), maps, levels)[:, 0]
    truth = batch.masks.flatten(0, 1) == 1
    logits = F.interpolate(logits, size=truth.shape[-2:], mode="bilinear", align_corners=False)
    probs = logits.softmax(dim=1)[:, 1]
    terms = {
        "cross_entropy": mask_cross_entropy(logits, truth.long()),
        "dice": dice_loss(probs, truth.float()).mean(),
        "contrast": label_contrast(features, labels_at_cells(batch.labels.flatten(0, 1), cells.shape[1:])),
    }
    loss = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
    found = probs > 0.5
    iou = (found & truth).sum(dim=(1, 2)) / (found | truth).sum(dim=(1, 2)).clamp_min(1)
    return {**terms, "loss": loss, "iou": iou.mean()}


def group_similarities(features: Tensor, cells: Tensor, supports: Tensor) -> tuple[Tensor, Levels]:
    """The similarity of each image to the mean class feature of its supports, and the levels on them.

    Every image is compared with the class features of its whole group: its own map is what the head sees, those of
    its supports give the levels.

    Args:
        features: (B*M,C,h,w).
        cells: (B*M,h,w) share of each cell that is the class.
        supports: (B,M,M) bool.

    Returns:
        maps (B*M,1,h,w), levels (B*M,1) each.
    """
    groups, images = supports.shape[:2]
    inside = class_average(features, cells).unflatten(0, (groups, images))  # (B,M,C)
    outside = class_average(features, 1.0 - cells).unflatten(0, (groups, images))
    share = supports / supports.sum(dim=2, keepdim=True)  # (B,M,M): each support's part in the mean
    beside = features.unflatten(0, (groups, images)).transpose(1, 2).flatten(2, 3)  # (B,C,M*h,w)
    maps = similarity_maps(share @ inside, relevance(share @ (inside - outside)), beside)
    maps = maps.unflatten(2, (images, -1))  # (B,M,M,h,w): image by its prototype, image compared
    each = region_levels(maps.transpose(1, 2).flatten(0, 1), cells, 1.0 - cells)  # (B*M,M): image compared, prototype
    low, high = ((share * part.unflatten(0, (groups, images)).mT).sum(dim=2).view(-1, 1) for part in each)
    own = maps.diagonal(dim1=1, dim2=2).permute(0, 3, 1, 2)  # (B,M,h,w)
    return own.flatten(0, 1).unsqueeze(1), Levels(low, high)


def labels_at_cells(labels: Tensor, size: torch.Size) -> Tensor:
    """The labels (B,H,W) in the middle of each of the (h, w) cells."""
    return F.interpolate(labels.float().unsqueeze(1), size=size, mode="nearest-exact")[:, 0].long()


def label_contrast(features: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of telling each cell's label by the cosine with the mean features of all labels in other images.

    Every region of an image counts alike, whatever its size; cells whose label no other image has are left out.

    Args:
        features: (B,C,h,w).
        labels: (B,h,w) int64.
    """
    images = features.shape[0]
    found, indices = labels.flatten(1).unique(return_inverse=True)  # (B,h*w)
    regions = F.one_hot(indices, found.numel()).to(features.dtype)  # (B,h*w,L)
    cells = F.normalize(features.flatten(2), dim=1)  # (B,C,h*w)
    areas = regions.sum(dim=1)  # (B,L)
    means = (cells @ regions).transpose(1, 2) / areas.clamp_min(1.0).unsqueeze(2)  # (B,L,C)
    present = (areas > 0).to(features.dtype)
    others = present.sum(dim=0) - present  # (B,L): how many other images show the label
    prototypes = F.normalize(means.sum(dim=0) - means, dim=2)
    similarity = (prototypes @ cells).transpose(1, 2) / TEMPERATURE  # (B,h*w,L)
    similarity = similarity.masked_fill((others == 0).unsqueeze(1), -1e4)
    losses = F.cross_entropy(similarity.flatten(0, 1), indices.flatten(), reduction="none").view(images, -1)
    per_region = (losses.unsqueeze(1) @ regions).squeeze(1) / areas.clamp_min(1.0)  # (B,L)
    counted = present * (others > 0)
    return (per_region * counted).sum() / counted.sum().clamp_min(1.0)
