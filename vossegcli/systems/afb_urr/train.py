"""Training objectives of AFB-URR on clips: dense correspondence of the keys, and segmentation in temporal order.

Shape letters: B clips, T frames, K classes (background is class 0), H W pixels, h w cells, Q M cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.losses import dice_loss
from vossegcli.ops.pooling import masks_at_stride4
from vossegcli.samples import ClipSamples, Correspondences
from vossegcli.systems.afb_urr import losses
from vossegcli.systems.afb_urr.model import AFBURR, QueryFeatures, flatten_cells
from vossegcli.systems.afb_urr.target_model import TargetModel

LOST_CELLS = 6  # of the grid of noise that cuts parts out of masks
LOST_ABOVE = 0.25  # noise above this is cut out: about a third of the picture


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; `confidence` is the paper's lambda_u.

    `hard_pixels` is the share of the pixels that the cross entropy counts, `missed` the weight of an object's pixels in
    it (background: 1), and `lost` the share of predicted masks that lose a part before they are fed back.
    """

    cross_entropy: float = 1.0
    dice: float = 0.5
    confidence: float = 0.5
    reading: float = 0.5
    correspondence: float = 0.2
    fine_correspondence: float = 0.1
    hard_pixels: float = 0.4
    missed: float = 1.5
    lost: float = 0.4


def correspondence_objective(model: AFBURR, batch: ClipSamples) -> dict[str, Tensor]:
    """Train the keys alone to match the cells of all pairs of frames of a clip."""
    terms = _correspondence(*model.encode_keys(batch.frames.flatten(0, 1)), batch)
    return {"loss": sum(terms.values(), torch.zeros(())), **terms}


def segmentation_objective(model: AFBURR, batch: ClipSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Segment frames 1..T-1 in order from frame 0's masks; each predicted frame joins the memory.

    The original shows the model only frame 0's bank in training; here the memory grows as it does in use.

    Returns:
        The terms and their weighted sum under `loss`, each averaged over the frames; and `j`, the mean IoU.
    """
    frames = batch.frames.shape[1]
    query = model.encode_query(batch.frames.flatten(0, 1))
    truth = F.one_hot(batch.labels, batch.classes).permute(0, 1, 4, 2, 3).float()  # (B,T,K,H,W)
    keys, values, newest_mask = [], [], truth[:, 0]
    target = None if model.config.target is None else TargetModel(model.config.target)
    terms: dict[str, list[Tensor]] = {name: [] for name in ("cross_entropy", "dice", "confidence", "reading", "j")}
    for t in range(1, frames):
        before, now = _frame(query, t - 1, frames), _frame(query, t, frames)
        memory = model.encode_memory(batch.frames[:, t - 1], newest_mask, before.key)
        keys.append(memory.keys)
        values.append(memory.values)
        read = _read(torch.cat(keys, dim=2), torch.cat(values, dim=2), flatten_cells(now.key))
        annotated = None
        if model.config.annotated_read:
            masks = values[0][..., model.config.value_channels :]
            annotated = _read(keys[0], masks, flatten_cells(now.key))  # (B,K,hw,mask_channels)
        newest = None
        if now.fine_key is not None and before.fine_key is not None:
            with torch.autocast(now.key.device.type, enabled=False):
                newest = model.read_newest(
                    model.weigh_newest(now.fine_key, before.fine_key), masks_at_stride4(newest_mask)
                )
        scores = None
        if target is not None and before.stages is not None and now.stages is not None:
            with torch.autocast(now.key.device.type, enabled=False):
                target = target.learned(before.stages, newest_mask, t - 1, annotated=t == 1)
                scores = target.score(now.stages)
        logits = model.decode(read, now, newest, annotated, scores)  # (B,K,H,W)
        probs = logits.softmax(dim=1)
        wrong = losses.hard_pixel_cross_entropy(logits, batch.labels[:, t], weights.hard_pixels, weights.missed)
        terms["cross_entropy"].append(wrong)
        terms["dice"].append(dice_loss(probs[:, 1:], truth[:, t, 1:]).mean())
        terms["confidence"].append(losses.confidence_loss(probs))
        terms["j"].append(_mean_iou(logits.detach().argmax(dim=1), batch.labels[:, t], batch.classes))
        if model.config.mask_cells:
            cells = model.mask_cells(truth[:, t])
            reading = losses.mask_reading_loss(read[..., model.config.value_channels :], cells)
            if newest is not None:
                read_locally = newest[:, :, 0].flatten(2).unsqueeze(3)  # (B,K,HW/16,1)
                small = masks_at_stride4(truth[:, t]).flatten(2).unsqueeze(3)
                reading = 0.5 * (reading + losses.mask_reading_loss(read_locally, small))
            terms["reading"].append(reading)
        newest_mask = lose_parts(model.remembered(logits.detach()), weights.lost)
    means = {name: torch.stack(values_).mean() for name, values_ in terms.items() if values_}
    if model.config.key_source == "frame" and (weights.correspondence or weights.fine_correspondence):
        means |= _correspondence(query.key, query.fine_key, batch)
    means["loss"] = sum(
        (getattr(weights, name) * value for name, value in means.items() if name != "j"), torch.zeros(())
    )
    return means


def lose_parts(probs: Tensor, share: float) -> Tensor:
    """Give a random part of the picture to the background in some masks: what is lost must be able to come back.

    Args:
        probs: (B,K,H,W) probabilities over classes.
        share: of the clips whose masks lose a part.
    """
    batch, _, height, width = probs.shape
    noise = torch.randn(batch, 1, LOST_CELLS, LOST_CELLS, device=probs.device)
    smooth = F.interpolate(noise, size=(height, width), mode="bilinear", align_corners=True)
    chosen = torch.rand(batch, 1, 1, 1, device=probs.device) < share
    kept = 1.0 - ((smooth > LOST_ABOVE) & chosen).to(probs.dtype)  # (B,1,H,W)
    objects = probs[:, 1:] * kept
    return torch.cat([1.0 - objects.sum(dim=1, keepdim=True), objects], dim=1)


def _read(keys: Tensor, values: Tensor, query: Tensor) -> Tensor:
    """Read memories (B,K,M,C), (B,K,M,V) with queries (B,Q,C): (B,K,Q,V); as `matching.read_memory`, batched."""
    with torch.autocast(query.device.type, enabled=False):
        similarity = query.unsqueeze(1) @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])
        return similarity.softmax(dim=3) @ values


def _frame(query: QueryFeatures, t: int, frames: int) -> QueryFeatures:
    """Take frame t of every clip out of features of B*T frames."""
    fine_key = None if query.fine_key is None else query.fine_key[t::frames]
    skips = type(query.skips)(*(s[t::frames] for s in query.skips))
    stages = None if query.stages is None else tuple(stage[t::frames] for stage in query.stages)
    return QueryFeatures(query.key[t::frames], fine_key, skips, stages)


def _correspondence(keys: Tensor, fine_keys: Tensor | None, batch: ClipSamples) -> dict[str, Tensor]:
    """Correspondence losses of keys (B*T,C,h,w) over all pairs of frames, and of fine keys over neighbours in time."""
    clips, frames = batch.frames.shape[:2]
    pairs = [(a, b) for a in range(frames) for b in range(frames) if a != b]
    with torch.autocast(keys.device.type, enabled=False):
        coarse = flatten_cells(keys).unflatten(0, (clips, frames))  # (B,T,hw,C)
        terms = {"correspondence": _pair_losses(coarse, batch.coarse, pairs)}
        if fine_keys is not None:
            fine = flatten_cells(fine_keys).unflatten(0, (clips, frames))
            near = [(a, b) for a, b in pairs if abs(a - b) == 1]
            # Each clip on its own: the local read never sees another video, nor cells that are far away.
            alone = [_pair_losses(fine[i : i + 1], batch.fine.clip(i), near) for i in range(clips)]
            terms["fine_correspondence"] = torch.stack(alone).mean()
    return terms


def _pair_losses(keys: Tensor, places: Correspondences, pairs: list[tuple[int, int]]) -> Tensor:
    """Mean correspondence loss of keys (B,T,hw,C) over ordered pairs of frames."""
    coordinates, textures = places.coordinates.flatten(2, 3), places.textures.flatten(2, 3)
    terms = []
    for a, b in pairs:
        targets, visible = losses.correspondence_targets(
            coordinates[:, a], textures[:, a], coordinates[:, b], textures[:, b]
        )
        terms.append(losses.correspondence_loss(keys[:, a], keys[:, b], targets, visible))
    return torch.stack(terms).mean()


def _mean_iou(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean IoU of the objects that are in the frame or predicted; 1 where there are none."""
    ious = []
    for k in range(1, classes):
        a, b = predicted == k, labels == k
        union = (a | b).sum(dim=(1, 2))
        ious.append(((a & b).sum(dim=(1, 2)) / union.clamp_min(1))[union > 0])
    found = torch.cat(ious)
    return found.mean() if found.numel() else torch.ones((), device=labels.device)
