"""Training objective of FWB on episodes: the paper's cross entropy, and what the additions learn from.

Shape letters: B groups, M images a group, Q = B*M queries, K supports, C channels, H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.losses import dice_loss
from vossegcli.samples import EpisodeSamples
from vossegcli.systems.fwb.backbones import Encoded
from vossegcli.systems.fwb.feature_weighting import class_difference, relevance
from vossegcli.systems.fwb.losses import mask_cross_entropy
from vossegcli.systems.fwb.model import FWB, masks_at_cells
from vossegcli.systems.fwb.presence import Reference, make_reference, presence_statistics
from vossegcli.systems.fwb.prototypes import class_maps, class_vectors, compare

#: Cells that k-means looks at in training, where it is most of the work.
MOST_CELLS = 512


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; all but the cross entropy are additions."""

    cross_entropy: float = 0.5
    dice: float = 1.0
    presence: float = 0.5


class FittedClass(NamedTuple):
    """A class as its supports show it: vectors (V,C), relevance (C,), and what they look like."""

    vectors: Tensor
    weights: Tensor
    reference: Reference


def episode_objective(model: FWB, batch: EpisodeSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Segment each image from others of its group, and tell it from an image without the class.

    The gradient flows through supports and queries alike (the authors' code stops it in the supports).

    Returns:
        The terms and their weighted sum under `loss`; `iou`, the mean IoU of the classes; and `present`, the share of
        images with and without the class that are told right.
    """
    encoded = model.encode(batch.images.flatten(0, 1))
    masks = batch.masks.flatten(0, 1)  # (Q,H,W)
    size = (int(encoded.features.shape[2]), int(encoded.features.shape[3]))
    fitted = list(fit_groups(model, encoded.features, masks_at_cells(masks, size), batch.supports))
    maps = _maps_of(model, fitted, encoded.features)  # (Q,M,h,w)
    base = model.head_base(encoded.context)
    logits = model.head(base, maps.unsqueeze(1))[:, 0]  # (Q,2,h,w)
    odds = logits[:, 1] - logits[:, 0]
    trusted = model.trust_prototypes(odds, maps, batch.supports.flatten(0, 1).sum(dim=1).view(-1, 1, 1))
    answers = [trusted] if model.refinement is None else [trusted, model.refine(trusted, maps, encoded)]
    large = [_enlarged(answer, masks.shape[-2:]) for answer in answers]  # (Q,H,W) each
    terms = {
        "cross_entropy": torch.stack([mask_cross_entropy(_two(x), (masks == 1).long()) for x in large]).mean(),
        "dice": torch.stack([dice_loss(x.sigmoid(), masks).mean() for x in large]).mean(),
    }
    there = _statistics(model, fitted, encoded.features, maps, odds)
    others, absent = images_without(batch)
    elsewhere = Encoded(*(part[others] for part in encoded))
    with torch.no_grad():
        maps = _maps_of(model, fitted, elsewhere.features)
        logits = model.head(base[others], maps.unsqueeze(1))[:, 0]
        not_there = _statistics(model, fitted, elsewhere.features, maps, logits[:, 1] - logits[:, 0])
    told = model.presence(torch.cat([there, not_there[absent]])).float()[:, 0]
    truth = torch.cat([told.new_ones(len(there)), told.new_zeros(int(absent.sum()))])
    terms["presence"] = F.binary_cross_entropy_with_logits(told, truth)
    loss = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
    found, real = large[-1] > 0, masks == 1
    iou = (found & real).sum(dim=(1, 2)) / (found | real).sum(dim=(1, 2)).clamp_min(1)
    return {**terms, "loss": loss, "iou": iou.mean(), "present": ((told > 0) == (truth > 0)).float().mean()}


def fit_groups(model: FWB, features: Tensor, cells: Tensor, supports: Tensor) -> Iterator[FittedClass]:
    """Fit the class of each image to its supports.

    Args:
        model: the network.
        features: (Q,C,h,w).
        cells: (Q,h,w) share of each cell that is the class.
        supports: (B,M,M) bool.
    """
    images = supports.shape[1]
    counts = model.config.counts
    single = features.unbind()  # its backward is one stack; that of an index writes as much as all features each time
    for query, chosen in enumerate(supports.flatten(0, 1)):
        shown = query // images * images + chosen.nonzero()[:, 0]
        of_supports, inside = torch.stack([single[k] for k in shown.tolist()]), cells[shown]
        outside = 1.0 - inside
        vectors = class_vectors(of_supports, inside, outside, counts, MOST_CELLS)
        weights = relevance(class_difference(of_supports, inside, outside))
        with torch.no_grad():
            maps = class_maps(compare(vectors.unsqueeze(0), weights, of_supports, counts[0], model.groups))[:, 0]
            reference = make_reference(of_supports, inside, outside, maps, model.groups)
        yield FittedClass(vectors, weights, reference)


def images_without(batch: EpisodeSamples) -> tuple[Tensor, Tensor]:
    """An image of another group for each image, in turns from the next group and from the one after it.

    Returns:
        (Q,) int64 index of the image, and (Q,) bool, whether the class is absent there.
    """
    groups, images = batch.masks.shape[:2]
    rows = torch.arange(groups).view(-1, 1).expand(-1, images)
    columns = torch.arange(images).expand(groups, -1)
    # Groups come in pairs of one data set.
    others = torch.where(columns % 2 == 0, rows ^ 1, rows + 2) % groups  # (B,M)
    shown = batch.labels[others.to(batch.labels.device), columns.to(batch.labels.device)]  # (B,M,H,W)
    absent = (shown != (batch.classes + 1).view(-1, 1, 1, 1)).flatten(2).all(dim=2)
    return (others * images + columns).flatten().to(absent.device), absent.flatten()


def _maps_of(model: FWB, fitted: list[FittedClass], features: Tensor) -> Tensor:
    """The maps (Q,M,h,w) of each image for its class."""
    count = model.config.counts[0]
    pairs = zip(fitted, features.unbind(), strict=True)
    compared = [
        compare(one.vectors.unsqueeze(0), one.weights, own.unsqueeze(0), count, model.groups) for one, own in pairs
    ]
    return torch.cat([class_maps(one) for one in compared])[:, 0]


@torch.no_grad()
def _statistics(model: FWB, fitted: list[FittedClass], features: Tensor, maps: Tensor, odds: Tensor) -> Tensor:
    parts = zip(fitted, features.split(1), maps.split(1), odds.sigmoid().split(1), strict=True)
    return torch.cat(
        [presence_statistics(one.reference, own, of_class, probs, model.groups) for one, own, of_class, probs in parts]
    )


def _enlarged(odds: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(odds.unsqueeze(1), size=size, mode="bilinear", align_corners=False)[:, 0]


def _two(odds: Tensor) -> Tensor:
    """Log-odds (Q,H,W) as logits of background and class (Q,2,H,W)."""
    return torch.stack([torch.zeros_like(odds), odds], dim=1)
