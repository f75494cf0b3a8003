"""Losses of MobileInst.

Shape letters: B images, N queries, m matched pairs, n instances, L classes, H W pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.losses import dice_loss, focal_class_loss
from vossegcli.ops.boundaries import boundary_map
from vossegcli.ops.cells import cell_centres
from vossegcli.systems.mobileinst.instance_decoder import Predictions
from vossegcli.systems.mobileinst.mask_decoder import FEATURE_STRIDE, MASK_STRIDE, OFFSET_SCALE, DenseOutput
from vossegcli.systems.mobileinst.matcher import Match

SURE = 0.4  # probability from which on a pixel counts for the IoU that objectness learns


def masks_of_ids(ids: Tensor, count: int) -> Tensor:
    """Masks (n,H/4,W/4) of ids 1..n in a map (H,W): which share of each cell is the instance."""
    numbers = torch.arange(1, count + 1, device=ids.device).view(-1, 1, 1)
    masks = (ids.unsqueeze(0) == numbers).float()
    return F.avg_pool2d(masks.unsqueeze(1), MASK_STRIDE)[:, 0]  # pooling takes 0 images, but not 0 channels


def set_losses(
    predictions: Predictions,
    logits: Tensor,
    truths: Sequence[Tensor],
    labels: Sequence[Tensor],
    matches: Sequence[Match],
    free: Sequence[Tensor] | None = None,
) -> dict[str, Tensor]:
    """Losses of matched queries, and of the others as background.

    Args:
        predictions: what the queries say.
        logits: (B,N,h,w) of their masks.
        truths: (n,h,w) of each image.
        labels: (n,) of each image.
        matches: of each image.
        free: (N,) bool of each image: queries that nothing is asked of; None = there are none.

    Returns:
        `classes`: focal loss over the number of instances; `dice` and `mask_entropy`: means over the pairs;
        `objectness`: cross entropy with the IoU of the own mask; `reference_points`: distance to the centre of the
        instance, where queries have them; `mask_iou`: mean IoU of the pairs, to watch.
    """
    wanted = torch.full(predictions.objectness.shape, -1, dtype=torch.int64, device=logits.device)
    for image, pairs in enumerate(matches):
        wanted[image, pairs.queries] = labels[image][pairs.instances]
    asked = torch.ones_like(wanted, dtype=torch.bool) if free is None else ~torch.stack(list(free))
    count = float(sum(len(pairs.queries) for pairs in matches))
    own = torch.cat([logits[image, pairs.queries] for image, pairs in enumerate(matches)]).float()
    truth = torch.cat([truths[image][pairs.instances] for image, pairs in enumerate(matches)])
    said = torch.cat([predictions.objectness[image, pairs.queries] for image, pairs in enumerate(matches)]).float()
    share = max(count, 1.0)
    iou = hard_iou(own.detach().sigmoid(), truth)
    entropy = F.binary_cross_entropy_with_logits(own, truth, reduction="none").mean(dim=(1, 2))
    points = predictions.reference_points
    located = {} if points is None else {"reference_points": _points_loss(points, truth, matches) / share}
    return {
        **located,
        "classes": focal_class_loss(predictions.logits[asked].float(), wanted[asked], count),
        "dice": dice_loss(own.sigmoid(), truth).sum() / share,
        "mask_entropy": entropy.sum() / share,
        "objectness": F.binary_cross_entropy_with_logits(said, iou, reduction="sum") / share,
        "mask_iou": iou.sum() / share,
    }


def _points_loss(points: Tensor, truth: Tensor, matches: Sequence[Match]) -> Tensor:
    """Sum over the pairs of the distance from points (B,N,2) to the centres of truths (m,h,w)."""
    said = torch.cat([points[image, pairs.queries] for image, pairs in enumerate(matches)])
    return F.smooth_l1_loss(said / OFFSET_SCALE, centres_of(truth) / OFFSET_SCALE, reduction="sum", beta=0.1)


def centres_of(masks: Tensor) -> Tensor:
    """Centres of mass (n,2), (x, y) in pixels, of masks (n,H/4,W/4); zero for empty ones."""
    cells = cell_centres(masks.shape[1], masks.shape[2], MASK_STRIDE, masks.device)
    return torch.einsum("mhw,hwc->mc", masks, cells) / masks.sum(dim=(1, 2)).clamp_min(1e-6).unsqueeze(1)


def hard_iou(masks: Tensor, truth: Tensor) -> Tensor:
    """IoU of masks (m,h,w) from a probability of 0.4 on with truths from a half on: (m,)."""
    found, real = masks >= SURE, truth > 0.5
    both = (found & real).sum(dim=(1, 2)).float()
    return both / (found | real).sum(dim=(1, 2)).clamp_min(1).float()


def dense_losses(dense: DenseOutput, ids: Tensor, counts: Sequence[int]) -> dict[str, Tensor]:
    """Losses of what cells say of themselves: foreground, boundary, and the offset to its instance's centre.

    They warm up backbone and mask decoder before there are instances, and steady them later (an addition).

    Args:
        dense: what the cells say.
        ids: (B,H,W), i + 1 = the i-th instance.
        counts: instances of each image.
    """
    covered = F.avg_pool2d((ids > 0).float().unsqueeze(1), FEATURE_STRIDE)[:, 0]
    edges = torch.stack([boundary_map(one) for one in ids])
    boundary = F.avg_pool2d(F.max_pool2d(edges.unsqueeze(1), FEATURE_STRIDE // 2), 2)[:, 0]
    foreground_loss = F.binary_cross_entropy_with_logits(dense.logits[:, 0], covered)
    boundary_loss = F.binary_cross_entropy_with_logits(dense.logits[:, 1], boundary)
    offsets, known = offsets_to_centres(ids, counts)
    missed = F.smooth_l1_loss(dense.offsets.permute(0, 2, 3, 1)[known], offsets[known], reduction="sum", beta=0.1)
    return {
        "foreground": foreground_loss,
        "boundary": boundary_loss,
        "centres": missed / known.sum().clamp_min(1),
    }


def offsets_to_centres(ids: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Offset of each cell to the centre of mass of the instance that covers the pixel in its middle.

    Returns:
        offsets (B,h,w,2) as (x, y) in units of `OFFSET_SCALE`, and (B,h,w) bool: whether there is such an instance.
    """
    _, height, width = ids.shape
    pixels = cell_centres(height, width, 1, ids.device).flatten(0, 1)  # (HW,2)
    middle = slice(FEATURE_STRIDE // 2, None, FEATURE_STRIDE)
    own = ids[:, middle, middle]
    points = cell_centres(own.shape[1], own.shape[2], FEATURE_STRIDE, ids.device)
    offsets = []
    for one, cells, count in zip(ids, own, counts, strict=True):
        flat = one.flatten()
        sums = torch.zeros(count + 1, 2, device=ids.device).index_add_(0, flat, pixels)
        areas = torch.bincount(flat, minlength=count + 1).clamp_min(1).unsqueeze(1)
        offsets.append(((sums / areas)[cells] - points) / OFFSET_SCALE)
    return torch.stack(offsets), own > 0
