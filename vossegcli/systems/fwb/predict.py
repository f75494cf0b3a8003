"""The FWB predictor: fitted to a few annotated images of each class, it segments those classes in others.

Shape letters: L classes, K supports, N experts, V vectors, M maps, C channels, H W pixels, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.inference import inference_copy, store_convolutions
from vossegcli.ops.canvas import Canvas, scaled_canvas, shrunk_canvas
from vossegcli.ops.images import in_unit_range
from vossegcli.ops.precision import autocast
from vossegcli.ops.resize import Size, size_of
from vossegcli.systems.base import ClassSegmentation
from vossegcli.systems.fwb.backbones import Encoded
from vossegcli.systems.fwb.boosting import Experts, boost, join_experts, mean_iou
from vossegcli.systems.fwb.coverage import class_cells, missing_parts
from vossegcli.systems.fwb.feature_weighting import class_difference, relevance
from vossegcli.systems.fwb.losses import VOID, mask_cross_entropy
from vossegcli.systems.fwb.model import FWB
from vossegcli.systems.fwb.nearest_cells import SupportCells, nearer_to_class, support_cells
from vossegcli.systems.fwb.own_prototypes import compare_again
from vossegcli.systems.fwb.presence import Reference, make_reference, presence_statistics
from vossegcli.systems.fwb.prototypes import Comparison, Counts, class_maps, class_vectors, compare
from vossegcli.systems.fwb.supports import Supports, stack_supports

SMALLEST = 1e-4  # probability, so that log-odds stay finite


@dataclass(frozen=True)
class _Class:
    """A fitted class.

    Attributes:
        experts: vectors of the class (N,V,C) and their trust (N,).
        weights: (C,) relevance of the features.
        reference: what the supports look like.
        cells: (K,S,C) of the class; None where it does not count what of them an image shows.
        exemplars: cells of the supports, to which those of an image are compared; None where that does not count.
        supports: number of them.
    """

    experts: Experts
    weights: Tensor
    reference: Reference
    cells: Tensor | None
    exemplars: SupportCells | None
    supports: int


class FWBPredictor:
    """Segments classes from their supports (see `systems.base.FewshotPredictor`).

    Args:
        model: the network; copied for inference, not changed.
        precision: type of the backbone; similarities, head and boosting stay float32.
        short_side: images with a larger short side are worked on at this size; 0 = native, None = the configuration's.
        boosting: fit experts to the supports; without, the vectors that the supports give are the only expert.
        weighting: weigh the features by their relevance; without, the cosine is plain.
        refining: refine the outlines, where the network can.
        looking_twice: look again with prototypes of the image itself, where the configuration says so.
        counts: prototypes of a class and of its surroundings; None = the configuration's.
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
        refining: bool = True,
        looking_twice: bool = True,
        counts: Counts | None = None,
        min_confidence: float = 0.0,
    ) -> None:
        self.model = inference_copy(model, precision)
        store_convolutions(self.model.backbone, precision)
        self.device = next(self.model.parameters()).device
        self.precision = precision
        self.short_side = self.model.config.short_side if short_side is None else short_side
        self.boosting = boosting
        self.weighting = weighting
        self.refining = refining
        self.own_surroundings = self.model.config.own_surroundings if looking_twice else 0
        self.counts = self.model.config.counts if counts is None else counts
        self.min_confidence = min_confidence
        self._classes: list[_Class] = []

    def clear(self) -> None:
        """Forget all classes."""
        self._classes = []

    @torch.no_grad()
    def fit(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
        """Learn one more class from its supports.

        Args:
            images: K images (3,H,W) RGB, float in [0, 1] or uint8, of any sizes.
            masks: K masks (H,W), above 0 = the class.

        Returns:
            mean IoU of the supports' own masks with what the experts make of them, in [0, 1].

        Raises:
            InputError: no support, a mask of another size than its image, or one that is empty or full.
        """
        supports = self.stack(images, masks)
        features = supports.encoded.features
        weights = torch.ones_like(features[0, :, 0, 0])
        if self.weighting:
            weights = relevance(class_difference(features, supports.inside, supports.outside))
        base = self.model.head_base(supports.encoded.context)
        experts = self._fit_experts(supports, weights, base)
        maps, odds = self._rough(self._compare(experts, weights, features), experts.weights, base)
        reference = make_reference(features, supports.inside, supports.outside, maps, self.model.groups)
        cells = class_cells(features, supports.inside) if self.model.config.coverage else None
        exemplars = None
        if self.model.config.support_cells and self.counts[0] > 1:  # one prototype is the paper, which has no margins
            exemplars = support_cells(features, supports.inside, supports.outside)
        self._classes.append(_Class(experts, weights, reference, cells, exemplars, len(images)))
        # Without exemplars: each cell of a support would be its own.
        return self._support_iou(self._finish(odds, maps, supports.encoded, len(images)), supports)

    def _fit_experts(self, supports: Supports, weights: Tensor, base: Tensor) -> Experts:
        """Boost the vectors that the supports give (paper sec. 3.4), in each draw of the prototypes."""
        features = supports.encoded.features
        truth, beyond = supports.truth == 1, supports.truth == VOID
        size, config = size_of(supports.truth), self.model.config
        least = math.log(config.threshold / (1.0 - config.threshold))

        def segment(vectors: Tensor) -> Tensor:
            maps = class_maps(compare(vectors.unsqueeze(0), weights, features, self.counts[0], self.model.groups))
            return F.interpolate(self.model.head(base, maps)[:, 0], size=size, mode="bilinear", align_corners=False)

        def loss(logits: Tensor) -> Tensor:
            return len(features) * mask_cross_entropy(logits, supports.truth)

        def quality(odds: Tensor) -> Tensor:
            return mean_iou((odds > least) & ~beyond, truth)

        draws, steps = (config.draws if self.counts[0] > 1 else 1, config.steps) if self.boosting else (1, 1)
        drawn = (class_vectors(features, supports.inside, supports.outside, self.counts, draw=i) for i in range(draws))
        boosted = [boost(initial, segment, loss, quality, steps=steps, rate=config.rate) for initial in drawn]
        return Experts(*(torch.cat(parts) for parts in zip(*boosted, strict=True)))

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[ClassSegmentation]:
        """Segment the fitted classes in images (B,3,H,W), RGB, float in [0, 1] or uint8.

        Each pixel goes to the likeliest of the classes that are sure enough to be there, where it is likely enough.
        """
        if not self._classes:
            raise RuntimeError("call fit() first")
        encoded, at_native_size = self.encode_query(images)
        base = self.model.head_base(encoded.context)
        probs, confidence = [], []
        for known in self._classes:
            compared = self._compare(known.experts, known.weights, encoded.features)
            maps, odds = self._rough(compared, known.experts.weights, base)
            statistics = presence_statistics(known.reference, encoded.features, maps, odds.sigmoid(), self.model.groups)
            nearer = None
            if known.exemplars is not None:
                nearer = nearer_to_class(known.exemplars, encoded.features, self.precision)
            found = self._finish(odds, maps, encoded, known.supports, nearer)
            if self.own_surroundings:
                found = self._look_again(known, compared, encoded, base, found, nearer)
            missing = None
            if known.cells is not None:  # in the stages; the projection was trained to find other classes
                missing = missing_parts(known.cells, encoded.features, found.sigmoid(), self.model.groups[:-1])
            confidence.append(self.model.confidence(statistics, missing).sigmoid())
            probs.append(at_native_size(found).sigmoid())  # (B,H,W)
        stacked = torch.stack(probs, dim=1)  # (B,L,H,W)
        sure = torch.stack(confidence, dim=1)  # (B,L)
        best = (stacked * (sure >= self.min_confidence)[:, :, None, None]).max(dim=1)
        label_maps = torch.where(best.values > self.model.config.threshold, best.indices + 1, 0).to(torch.int32)
        return [ClassSegmentation(*parts) for parts in zip(label_maps, stacked, sure, strict=True)]

    def stack(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> Supports:
        """Encode supports; see `stack_supports`."""
        return stack_supports(images, masks, self._encode, self._canvas_of, self.device)

    def encode_query(self, images: Tensor) -> tuple[Encoded, Callable[[Tensor], Tensor]]:
        """Encode images (B,3,H,W); return also what brings maps (B,h,w) of theirs back to their size (B,H,W)."""
        canvas = self._canvas_of(images)

        def at_native_size(maps: Tensor) -> Tensor:
            return canvas.leave(_enlarged(maps, canvas.padded).unsqueeze(1))[:, 0]

        return self._encode(canvas.enter(in_unit_range(images.to(self.device)))), at_native_size

    def _look_again(
        self,
        known: _Class,
        compared: Comparison,
        encoded: Encoded,
        base: Tensor,
        odds: Tensor,
        nearer: Tensor | None,
    ) -> Tensor:
        """Segment each image again with prototypes of its own, where log-odds (B,H,W) are sure enough."""
        found = list(odds.split(1))
        for index, first in enumerate(found):
            image = Encoded(*(part[index : index + 1] for part in encoded))
            again = compare_again(
                compared.of_image(index), image.features, first.sigmoid(), self.own_surroundings, self.model.groups
            )
            if again is not None:
                maps, rough = self._rough(again, known.experts.weights, base[index : index + 1])
                of_image = None if nearer is None else nearer[index : index + 1]
                found[index] = self._finish(rough, maps, image, known.supports, of_image)
        return torch.cat(found)

    def _compare(self, experts: Experts, weights: Tensor, features: Tensor) -> Comparison:
        return compare(experts.features, weights, features, self.counts[0], self.model.groups)

    def _rough(self, compared: Comparison, trust: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B,M,h,w), averaged over the experts, and the log-odds (B,h,w) of their joined masks.

        `trust` (N,) is that of the experts, `base` the head's share of the features.
        """
        maps = class_maps(compared)  # (B,N,M,h,w)
        logits = self.model.head(base, maps)
        each = (logits[:, :, 1] - logits[:, :, 0]).sigmoid()  # (B,N,h,w)
        return maps.mean(dim=1), join_experts(each, trust).clamp(SMALLEST, 1.0 - SMALLEST).logit()

    def _finish(
        self, odds: Tensor, maps: Tensor, encoded: Encoded, supports: int, nearer: Tensor | None = None
    ) -> Tensor:
        if self.counts[0] > 1:
            odds = self.model.trust_prototypes(odds, maps, supports, nearer)
        return self.model.refine(odds, maps, encoded) if self.refining else odds

    def _support_iou(self, odds: Tensor, supports: Supports) -> float:
        probs = _enlarged(odds, size_of(supports.truth)).sigmoid()
        found = (probs > self.model.config.threshold) & (supports.truth != VOID)
        return float(mean_iou(found, supports.truth == 1))

    def _canvas_of(self, images: Tensor) -> Canvas:
        """The canvas on which images (...,H,W) are worked on."""
        if self.model.config.enlarge:
            return scaled_canvas(images, self.short_side, self.model.multiple)
        return shrunk_canvas(images, self.short_side or None, self.model.multiple)

    def _encode(self, images: Tensor) -> Encoded:
        images = images.to(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            return self.model.encode(images)


def _enlarged(odds: Tensor, size: Size) -> Tensor:
    """Log-odds (B,h,w) at the size of the image."""
    return F.interpolate(odds.unsqueeze(1), size=size, mode="bilinear", align_corners=False)[:, 0]
