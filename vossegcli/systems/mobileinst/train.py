"""Training objectives of MobileInst: dense targets, instances in images, and instances in clips by query passing.

Shape letters: B images or clips, T = 2 frames, N queries, n instances, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vossegcli.samples import InstanceClipSamples, InstanceSamples
from vossegcli.systems.mobileinst.instance_decoder import Predictions
from vossegcli.systems.mobileinst.losses import centres_of, dense_losses, masks_of_ids, set_losses
from vossegcli.systems.mobileinst.mask_decoder import MASK_STRIDE, mask_logits
from vossegcli.systems.mobileinst.matcher import Match, closeness_of, match
from vossegcli.systems.mobileinst.model import Encoded, MobileInst
from vossegcli.systems.mobileinst.positions import random_origin


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: those of SparseInst first; `context`, `passed` and `reused` weigh sums of such terms."""

    classes: float = 2.0
    mask_entropy: float = 5.0
    dice: float = 2.0
    objectness: float = 1.0
    context: float = 0.5
    passed: float = 0.5
    reused: float = 0.5
    foreground: float = 1.0
    boundary: float = 1.0
    centres: float = 2.0
    reference_points: float = 2.0


@dataclass(frozen=True)
class _Truth:
    """Instances of the images of a batch: masks (n,H/4,W/4) and labels (n,) of each."""

    masks: list[Tensor]
    labels: list[Tensor]


@dataclass(frozen=True)
class _Found:
    """Predictions for a batch, and the assignment of queries to instances."""

    queries: Tensor
    predictions: Predictions
    matches: list[Match]


def dense_objective(model: MobileInst, batch: InstanceSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Train backbone and mask decoder alone: foreground, boundaries and offsets to the centres."""
    encoded = model(batch.images, random_origin(batch.images.device))
    terms = dense_losses(encoded.dense, batch.ids, [len(labels) for labels in batch.labels])
    return {**terms, "loss": _weighed(terms, weights)}


def instance_objective(model: MobileInst, batch: InstanceSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Detect and segment the instances of images."""
    encoded = model(batch.images, random_origin(batch.images.device))
    truth = _truth(batch.ids, batch.labels)
    terms, _ = _detection_terms(model, encoded, truth, weights)
    terms |= dense_losses(encoded.dense, batch.ids, [len(labels) for labels in batch.labels])
    return {**terms, "loss": _weighed(terms, weights)}


def clip_objective(model: MobileInst, batch: InstanceClipSamples, weights: LossWeights) -> dict[str, Tensor]:
    """Detect and segment both frames, and the later one with what the earlier one's queries have seen.

    * Query passing (paper sec. 3.4): the queries of the first frame's global decoder go to the local decoder of the
      second; each is responsible for the instance that it has found in the first.
    * The first frame's kernels on the second frame's mask features, as they are reused in tracking: where kernels know
      where their instances are, they have moved along with them (an addition).

    Instances that only the second frame shows belong to none of the passed queries; nothing is asked of those that
    are not responsible for any.
    """
    frames = batch.frames.flatten(0, 1)  # (B*2,3,H,W)
    ids = batch.ids.flatten(0, 1)
    labels = [labels for labels in batch.labels for _ in range(2)]
    encoded = model(frames, random_origin(frames.device))
    truth = _truth(ids, labels)
    terms, found = _detection_terms(model, encoded, truth, weights, visible=True)
    terms |= dense_losses(encoded.dense, ids, [len(one) for one in labels])
    first, second = slice(0, None, 2), slice(1, None, 2)
    later = _Truth(truth.masks[second], truth.labels[second])
    matches = [_still_there(pairs, masks) for pairs, masks in zip(found.matches[first], later.masks, strict=True)]
    idle = [_not_in(found.queries.shape[1], pairs.queries) for pairs in matches]
    features = model.local_features(encoded)[second]
    passed = model.instance_decoder.decode_local(found.queries[first], features, encoded.origin)
    said = model.predict(passed, encoded)
    embedded = encoded.embedded[second]
    earlier = _halves(found.predictions, first)
    reused = earlier._replace(kernels=_moved_along(model, earlier, matches, truth.masks[first], later.masks))
    for name, predictions in (("passed", said), ("reused", reused)):
        logits = mask_logits(predictions.kernels, embedded)
        parts = set_losses(predictions, logits, later.masks, later.labels, matches, idle)
        kept = parts if name == "passed" else {key: parts[key] for key in ("dice", "mask_entropy", "mask_iou")}
        terms[name] = _weighed(kept, weights)
        terms[f"{name}_iou"] = parts["mask_iou"]
    return {**terms, "loss": _weighed(terms, weights)}


def _detection_terms(
    model: MobileInst, encoded: Encoded, truth: _Truth, weights: LossWeights, *, visible: bool = False
) -> tuple[dict[str, Tensor], _Found]:
    """Terms of the final predictions, and of the global decoder's alone with the same matches under `context`.

    Args:
        model: the network.
        encoded: the batch.
        truth: of the batch.
        weights: of the terms.
        visible: instances may have no pixel in an image; nobody is responsible for those.
    """
    decoder = model.instance_decoder
    early = decoder.decode_global(encoded.context, encoded.origin)
    predictions = model.predict(decoder.decode_local(early, model.local_features(encoded), encoded.origin), encoded)
    logits = mask_logits(predictions.kernels, encoded.embedded)
    query_stride = model.config.query_stride
    size = (MASK_STRIDE * logits.shape[2], MASK_STRIDE * logits.shape[3])
    initial = decoder.initial_points(size) if query_stride else None
    matches = []
    for image, (masks, labels) in enumerate(zip(truth.masks, truth.labels, strict=True)):
        shown = masks.flatten(1).sum(dim=1).gt(0).nonzero()[:, 0] if visible else torch.arange(len(masks))
        shown = shown.to(masks.device)
        close = None if initial is None else closeness_of(initial, centres_of(masks[shown]), query_stride)
        pairs = match(
            logits[image].flatten(1).sigmoid(), predictions.logits[image].sigmoid(),
            masks[shown].flatten(1), labels[shown], close,
        )  # fmt: skip
        matches.append(Match(pairs.queries, shown[pairs.instances]))
    terms = set_losses(predictions, logits, truth.masks, truth.labels, matches)
    context = model.predict(early, encoded)
    context_logits = mask_logits(context.kernels, encoded.embedded)
    auxiliary = set_losses(context, context_logits, truth.masks, truth.labels, matches)
    terms["context"] = _weighed(auxiliary, weights)
    return terms, _Found(early, predictions, matches)


def _truth(ids: Tensor, labels: Sequence[Tensor]) -> _Truth:
    masks = [masks_of_ids(one, len(own)) for one, own in zip(ids, labels, strict=True)]
    return _Truth(masks, [own.to(ids.device) for own in labels])


def _still_there(pairs: Match, masks: Tensor) -> Match:
    """The pairs whose instance another frame shows too."""
    kept = masks[pairs.instances].flatten(1).sum(dim=1) > 0
    return Match(pairs.queries[kept], pairs.instances[kept])


def _moved_along(
    model: MobileInst, found: Predictions, matches: list[Match], before: list[Tensor], after: list[Tensor]
) -> Tensor:
    """Kernels (B,N,K), those of matched queries as they are when their instances have moved to another frame."""
    embedding = model.instance_decoder.point_embedding
    if embedding is None or found.reference_points is None:
        return found.kernels
    moved = found.kernels.clone()
    for image, (pairs, first, second) in enumerate(zip(matches, before, after, strict=True)):
        points = found.reference_points[image, pairs.queries]
        offset = centres_of(second[pairs.instances]) - centres_of(first[pairs.instances])
        moved[image, pairs.queries] = embedding.moved(found.kernels[image, pairs.queries], points, points + offset)
    return moved


def _not_in(count: int, numbers: Tensor) -> Tensor:
    outside = torch.ones(count, dtype=torch.bool, device=numbers.device)
    outside[numbers] = False
    return outside


def _halves(predictions: Predictions, part: slice) -> Predictions:
    return predictions.map(lambda field: field[part])


def _weighed(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Sum of the terms that have a weight."""
    parts = [getattr(weights, name) * value for name, value in terms.items() if hasattr(weights, name)]
    return torch.stack(parts).sum()
