"""The FWB predictor: fitted to a few annotated images of each class, it segments those classes in others.

Shape letters: L classes, K supports, N experts, C channels, H W pixels, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.inference import inference_copy
from vossegcli.ops.canvas import shrunk_canvas
from vossegcli.ops.precision import autocast
from vossegcli.systems.base import ClassSegmentation
from vossegcli.systems.fwb.boosting import Experts, boost, join_experts, mean_iou
from vossegcli.systems.fwb.feature_weighting import (
    EPSILON,
    Levels,
    class_average,
    class_difference,
    region_levels,
    relevance,
    similarity_maps,
    support_levels,
)
from vossegcli.systems.fwb.losses import VOID, mask_cross_entropy
from vossegcli.systems.fwb.model import FWB, STRIDE, masks_at_cells
from vossegcli.systems.fwb.supports import stack_supports


@dataclass(frozen=True)
class _Class:
    """A fitted class.

    Attributes:
        experts: class features (N,C) and their trust (N,).
        weights: (1,1,C) relevance of the features.
        levels: (1,N) each, how similar to each expert the supports' surroundings and the class are.
        support_iou: how well the experts find the supports' own masks.
    """

    experts: Experts
    weights: Tensor
    levels: Levels
    support_iou: float


class FWBPredictor:
    """Segments classes from their supports (see `systems.base.FewshotPredictor`).

    Args:
        model: the network; copied for inference, not changed.
        precision: type of the backbone; similarities, head and boosting stay float32.
        short_side: images with a larger short side are worked on at this size; 0 = native, None = the configuration's.
        boosting: fit experts to the supports; without, the mean class feature is the only expert.
        weighting: weigh the features by their relevance; without, the cosine is plain.
        min_confidence: classes that are less sure to be in an image are left out of its label map.
    """

    def __init__(
        self,
        model: FWB,
        *,
        precision: torch.dtype = torch.float32,
        short_side: int | None = None,
        boosting: bool = True,
        weighting: bool = True,
        min_confidence: float = 0.0,
    ) -> None:
        self.model = inference_copy(model)
        self.device = next(self.model.parameters()).device
        self.precision = precision
        wanted = self.model.config.short_side if short_side is None else short_side
        self.short_side = wanted or None
        self.boosting = boosting
        self.weighting = weighting
        self.min_confidence = min_confidence
        self._classes: list[_Class] = []

    def clear(self) -> None:
        """Forget all classes."""
        self._classes = []

    @torch.no_grad()
    def fit(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
        """Learn one more class from its supports.

        Args:
            images: K images (3,H,W) float RGB in [0, 1], of any sizes.
            masks: K masks (H,W), above 0 = the class.

        Returns:
            mean IoU of the supports' own masks with what the experts make of them, in [0, 1].

        Raises:
            InputError: no support, a mask of another size than its image, or one that is empty or full.
        """
        supports = stack_supports(images, masks, self._encode, self.short_side, self.device)
        features, size = supports.features, (int(supports.truth.shape[1]), int(supports.truth.shape[2]))
        initial = class_average(features, supports.inside).mean(dim=0)
        weights = torch.ones_like(initial)
        if self.weighting:
            weights = relevance(class_difference(features, supports.inside, supports.outside))
        weights = weights.view(1, 1, -1)
        base = self.model.head_base(features)
        threshold = self.model.config.threshold
        truth, beyond = supports.truth == 1, supports.truth == VOID

        def segment(prototype: Tensor) -> Tensor:
            maps = similarity_maps(prototype.view(1, 1, -1), weights, features)
            levels = support_levels(maps, supports.inside, supports.outside)
            return _enlarged(self.model.head(base, maps, levels)[:, 0], size)

        def loss(logits: Tensor) -> Tensor:
            return len(images) * mask_cross_entropy(logits, supports.truth)

        def quality(odds: Tensor) -> Tensor:
            return mean_iou((odds > math.log(threshold / (1.0 - threshold))) & ~beyond, truth)

        config = self.model.config
        steps = config.steps if self.boosting else 1
        experts = boost(initial, segment, loss, quality, steps=steps, rate=config.rate)
        maps = similarity_maps(experts.features.unsqueeze(0), weights, features)  # (K,N,h,w)
        levels = support_levels(maps, supports.inside, supports.outside)
        joined = join_experts(_probabilities(self.model.head(base, maps, levels), size), experts.weights)
        found = float(mean_iou((joined > threshold) & ~beyond, truth))
        self._classes.append(_Class(experts, weights, levels, found))
        return found

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[ClassSegmentation]:
        """Segment the fitted classes in images (B,3,H,W), float RGB in [0, 1].

        Each pixel goes to the likeliest of the classes that are sure enough to be there, where it is likely enough.
        """
        if not self._classes:
            raise RuntimeError("call fit() first")
        canvas = shrunk_canvas(images, self.short_side, STRIDE)
        features = self._encode(canvas.enter(images.to(self.device)))
        base = self.model.head_base(features)
        probs, confidence = [], []
        for known in self._classes:
            maps = similarity_maps(known.experts.features.unsqueeze(0), known.weights, features)  # (B,N,h,w)
            of_experts = _probabilities(self.model.head(base, maps, known.levels), canvas.padded)
            joined = join_experts(of_experts, known.experts.weights)  # (B,H,W)
            probs.append(canvas.leave(joined.unsqueeze(1))[:, 0])
            cells = masks_at_cells(joined, (features.shape[2], features.shape[3]))
            found = (cells > self.model.config.threshold).float()
            confidence.append(_confidence(known, maps.mean(dim=1, keepdim=True), cells, found))
        stacked = torch.stack(probs, dim=1).clamp(0.0, 1.0)  # (B,L,H,W)
        sure = torch.stack(confidence, dim=1)  # (B,L)
        best = (stacked * (sure >= self.min_confidence)[:, :, None, None]).max(dim=1)
        label_maps = torch.where(best.values > self.model.config.threshold, best.indices + 1, 0).to(torch.int32)
        return [ClassSegmentation(*parts) for parts in zip(label_maps, stacked, sure, strict=True)]

    def _encode(self, images: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            return self.model.encode(images)


def _enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (B,2,h,w) at the size of the image."""
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _probabilities(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """From logits (B,N,2,h,w) to probabilities of the class (B,N,H,W)."""
    odds = logits[:, :, 1] - logits[:, :, 0]
    return _enlarged(odds, size).sigmoid()


def _confidence(known: _Class, maps: Tensor, masks: Tensor, found: Tensor) -> Tensor:
    """Estimate the confidence that the class is in each image, in [0, 1]: (B,).

    The product of three: the root of the IoU that the experts reach on the supports, how well the cells that are found
    are told apart from the others, compared with the supports' own, and their mean probability. Nothing found gives 0.

    Args:
        known: the class.
        maps: (B,1,h,w) similarities, averaged over the experts.
        masks: (B,h,w) probabilities.
        found: (B,h,w) of 0 and 1, the cells that are likely enough.
    """
    reached = region_levels(maps, found, 1.0 - found)
    apart = (reached.high - reached.low)[:, 0] / (known.levels.high - known.levels.low).mean().clamp_min(EPSILON)
    certain = (masks * found).sum(dim=(1, 2)) / found.sum(dim=(1, 2)).clamp_min(1.0)
    return math.sqrt(known.support_iou) * apart.clamp(0.0, 1.0) * certain
