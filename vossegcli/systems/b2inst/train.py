"""Training objective of B2Inst.

Shape letters: B images, n instances of an image, N locations, H W pixels, R side of a mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.losses import focal_class_loss
from vossegcli.ops.boundaries import boundary_map, soft_boundary
from vossegcli.samples import InstanceSamples
from vossegcli.systems.b2inst.blender import blend, crop_bases
from vossegcli.systems.b2inst.box_head import boxes_of, grown
from vossegcli.systems.b2inst.losses import UNKNOWN, boundary_losses, box_loss, mask_loss, semantic_loss
from vossegcli.systems.b2inst.mask_scoring import boundary_dice, mask_iou, scoring_loss
from vossegcli.systems.b2inst.model import B2Inst, Encoded
from vossegcli.systems.b2inst.targets import Assignment, assign_locations, masks_in_boxes

MOST_MASKS = 128  # locations an image whose masks are trained in a step
MOST_SCORED = 24  # of them, whose scores are trained too: the scoring head costs more than all the rest


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms."""

    classes: float = 1.0
    boxes: float = 1.0
    centerness: float = 1.0
    masks: float = 1.0
    semantic: float = 0.3
    boundary_entropy: float = 0.5
    boundary_dice: float = 0.5
    boundary_distance: float = 0.5
    scores: float = 1.0


def instance_objective(model: B2Inst, batch: InstanceSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Detect, segment and score the instances of a batch.

    Returns:
        The terms and their weighted sum under `loss`; `mask_iou`, the mean IoU of the trained masks in their boxes.
    """
    encoded = model(batch.images)
    device = batch.images.device
    sizes = [(level.logits.shape[2], level.logits.shape[3]) for level in encoded.levels]
    assignments = [assign_locations(boxes.to(device), sizes) for boxes in batch.boxes]
    terms = _detection_terms(encoded, batch, assignments, sizes)
    terms |= _mask_terms(model, encoded, batch, assignments)
    labels = _at_size(batch.classes_map, sizes[0])
    if batch.annotated is not None:
        labels = labels.masked_fill(~_at_size(batch.annotated, sizes[0]), UNKNOWN)
    assert encoded.bases.semantic is not None
    terms["semantic"] = semantic_loss(encoded.bases.semantic, labels)
    if encoded.bases.boundary is not None:
        size = encoded.bases.boundary.shape[1:]
        truth = torch.stack([boundary_map(ids) for ids in batch.ids])
        small = F.adaptive_max_pool2d(truth.unsqueeze(1), size)[:, 0]
        distance = F.adaptive_avg_pool2d(batch.distance.unsqueeze(1), size)[:, 0]
        known = None if batch.annotated is None else _at_size(batch.annotated, (size[0], size[1]))
        terms |= boundary_losses(encoded.bases.boundary, small, distance, known)
    counted = {name: value for name, value in terms.items() if hasattr(weights, name)}
    loss = sum((getattr(weights, name) * value for name, value in counted.items()), torch.zeros((), device=device))
    return {**terms, "loss": loss}


def _detection_terms(
    encoded: Encoded, batch: InstanceSamples, assignments: list[Assignment], sizes: list[tuple[int, int]]
) -> dict[str, Tensor]:
    device = batch.images.device
    logits = torch.cat([level.logits.flatten(2).transpose(1, 2) for level in encoded.levels], dim=1)  # (B,N,L)
    sides = torch.cat([level.sides.flatten(2).transpose(1, 2) for level in encoded.levels], dim=1)  # (B,N,4)
    centerness = torch.cat([level.centerness.flatten(1) for level in encoded.levels], dim=1)  # (B,N)
    labels = torch.stack([
        torch.where(a.instance >= 0, _of_instances(own.to(device), a.instance), -1)
        for a, own in zip(assignments, batch.labels, strict=True)
    ])  # fmt: skip
    positive = labels >= 0
    judged, truth = logits.flatten(0, 1), labels.flatten()
    if batch.annotated is not None:
        known = torch.cat([_at_size(batch.annotated, size).flatten(1) for size in sizes], dim=1)  # (B,N)
        counts = (positive | known).flatten()
        judged, truth = judged[counts], truth[counts]
    count = float(positive.sum())
    true_sides = torch.stack([a.sides for a in assignments])[positive]
    true_centerness = torch.stack([a.centerness for a in assignments])[positive]
    zeros = torch.zeros_like(true_sides[:, :2])
    return {
        "classes": focal_class_loss(judged, truth, count),
        "boxes": box_loss(boxes_of(zeros, sides[positive]), boxes_of(zeros, true_sides), true_centerness),
        "centerness": F.binary_cross_entropy_with_logits(
            centerness[positive], true_centerness, reduction="sum"
        ) / max(count, 1.0),
    }  # fmt: skip


def _at_size(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize labels or areas (B,H,W) to (B,h,w) by the pixel in the middle of each cell."""
    return F.interpolate(maps.float().unsqueeze(1), size=size, mode="nearest-exact")[:, 0].to(maps.dtype)


def _of_instances(values: Tensor, instance: Tensor) -> Tensor:
    """Values (n,) of the instances that locations (N,) are responsible for; anything where there is none."""
    return values[instance.clamp_min(0)] if len(values) else torch.zeros_like(instance)


def _mask_terms(
    model: B2Inst, encoded: Encoded, batch: InstanceSamples, assignments: list[Assignment]
) -> dict[str, Tensor]:
    """Masks of some of the locations with an instance, in the true boxes with their margins, and their scores."""
    config, device = model.config, batch.images.device
    logits, truths, weights, boxes = [], [], [], []
    size = (int(batch.images.shape[2]), int(batch.images.shape[3]))
    for image, assignment in enumerate(assignments):
        chosen = assignment.instance.ge(0).nonzero().flatten()
        chosen = chosen[torch.randperm(len(chosen), device=device)[:MOST_MASKS]]
        attention = model.attention(encoded, torch.full_like(chosen, image), chosen)
        instances = assignment.instance[chosen]
        own = batch.boxes[image].to(device)[instances]
        if config.mask_margin:
            own = grown(own, 2.0 * config.mask_margin * torch.rand_like(own), size)
        crops = crop_bases(encoded.bases.values, own, torch.full_like(chosen, image), config.resolution)
        logits.append(blend(crops, attention))
        truths.append(masks_in_boxes(batch.ids[image], own, instances, config.resolution))
        weights.append(assignment.centerness[chosen])
        boxes.append(own)
    joined, truth = torch.cat(logits), torch.cat(truths)
    predicted = (joined.detach() > 0).float()
    quality = mask_iou(predicted, truth)
    terms = {"masks": mask_loss(joined, truth, torch.cat(weights)), "mask_iou": quality.sum() / max(len(quality), 1)}
    if model.scoring is not None:
        few = torch.cat([torch.arange(len(own), device=device) < MOST_SCORED for own in boxes])
        probs = joined.detach()[few].sigmoid()
        iou, boundary = model.scoring(encoded.pyramid, [own[:MOST_SCORED] for own in boxes], probs, size)
        true_boundary = boundary_dice(soft_boundary(predicted[few]), soft_boundary(truth[few]))
        terms["scores"] = scoring_loss(iou, boundary, quality[few], true_boundary)
    return terms
