"""Training objective of FWB on episodes: the paper's cross entropy, and contrast between the classes of a batch.

Shape letters: B episodes, K supports, C channels, H W pixels, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.systems.base import EpisodeBatch
from vossegcli.systems.fwb.feature_weighting import class_average
from vossegcli.systems.fwb.losses import mask_cross_entropy
from vossegcli.systems.fwb.model import FWB, masks_at_cells

TEMPERATURE = 0.1
MOSTLY = 0.75  # share of a cell from which on it counts as the class


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; `contrast` is an addition for backbones that begin without knowledge."""

    cross_entropy: float = 1.0
    dice: float = 0.5
    contrast: float = 0.5


def episode_objective(model: FWB, batch: EpisodeBatch, weights: LossWeights) -> dict[str, Tensor]:
    """Segment each query from its supports.

    The gradient flows through supports and queries alike (the authors' code stops it in the supports).

    Returns:
        The terms and their weighted sum under `loss`; and `iou`, the mean IoU of the queries' classes.
    """
    episodes, shots = batch.support_masks.shape[:2]
    images = torch.cat([batch.support_images.flatten(0, 1), batch.query_images])
    features = model.encode(images)
    cells = masks_at_cells(
        torch.cat([batch.support_masks.flatten(0, 1), batch.query_masks.float()]),
        (features.shape[2], features.shape[3]),
    )
    supports, queries = features[: episodes * shots].unflatten(0, (episodes, shots)), features[episodes * shots :]
    support_cells = cells[: episodes * shots].unflatten(0, (episodes, shots))
    logits = torch.cat([model(supports[b], support_cells[b], queries[b : b + 1]) for b in range(episodes)])
    logits = F.interpolate(logits, size=batch.query_masks.shape[-2:], mode="bilinear", align_corners=False)
    probs = logits.softmax(dim=1)[:, 1]
    truth = batch.query_masks == 1
    terms = {
        "cross_entropy": mask_cross_entropy(logits, batch.query_masks),
        "dice": _dice(probs, truth.float()),
        "contrast": class_contrast(supports, support_cells, queries, cells[episodes * shots :], batch.classes),
    }
    loss = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
    found = probs > 0.5
    iou = (found & truth).sum(dim=(1, 2)) / (found | truth).sum(dim=(1, 2)).clamp_min(1)
    return {**terms, "loss": loss, "iou": iou.mean()}


def class_contrast(
    supports: Tensor, support_cells: Tensor, queries: Tensor, query_cells: Tensor, classes: Tensor
) -> Tensor:
    """Cross entropy of each query cell between the classes of the batch and its own supports' surroundings.

    Args:
        supports: (B,K,C,h,w) features.
        support_cells: (B,K,h,w) masks.
        queries: (B,C,h,w) features.
        query_cells: (B,h,w) masks; cells that are partly the class are left out.
        classes: (B,) int64; episodes of one class share an answer.
    """
    episodes = queries.shape[0]
    averages = [class_average(supports[b], support_cells[b]).mean(dim=0) for b in range(episodes)]
    around = [class_average(supports[b], 1.0 - support_cells[b]).mean(dim=0) for b in range(episodes)]
    prototypes, grounds = (F.normalize(torch.stack(part), dim=1) for part in (averages, around))  # (B,C)
    cells = F.normalize(queries, dim=1)
    to_classes = torch.einsum("bchw,nc->bhwn", cells, prototypes)
    to_ground = torch.einsum("bchw,bc->bhw", cells, grounds)
    logits = torch.cat([to_classes, to_ground.unsqueeze(3)], dim=3) / TEMPERATURE  # (B,h,w,B+1)
    same = classes.unsqueeze(1) == classes.unsqueeze(0)  # (B,B): other episodes of the class are no wrong answer
    wrong_twin = same & ~torch.eye(episodes, dtype=torch.bool, device=classes.device)
    logits = logits.masked_fill(F.pad(wrong_twin, (0, 1))[:, None, None], -1e4)
    own = torch.arange(episodes, device=classes.device).view(-1, 1, 1)
    target = torch.where(query_cells > MOSTLY, own, episodes)
    clear = (query_cells > MOSTLY) | (query_cells < 1.0 - MOSTLY)
    losses = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none").view_as(query_cells)
    shares = [
        (losses * part).sum() / part.sum().clamp_min(1) for part in (clear & (target == own), clear & (target != own))
    ]
    return 0.5 * (shares[0] + shares[1])


def _dice(probs: Tensor, masks: Tensor) -> Tensor:
    """1 - Dice of the class, averaged over the queries (B,H,W)."""
    overlap = (probs * masks).sum(dim=(1, 2))
    return (1.0 - (2.0 * overlap + 1.0) / (probs.sum(dim=(1, 2)) + masks.sum(dim=(1, 2)) + 1.0)).mean()
