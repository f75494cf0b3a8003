"""The B2Inst predictor: images to instances.

Shape letters: B images, N instances or locations, L classes, H W pixels, R side of a mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from vossegcli.layers.inference import inference_copy, store_convolutions
from vossegcli.ops.canvas import scaled_canvas
from vossegcli.ops.images import in_unit_range
from vossegcli.ops.precision import autocast
from vossegcli.systems.b2inst.blender import blend, crop_bases, enlarge, fitting_resolution
from vossegcli.systems.b2inst.box_head import boxes_of, grown, locations
from vossegcli.systems.b2inst.mask_scoring import final_score
from vossegcli.systems.b2inst.model import STRIDE, B2Inst, Encoded
from vossegcli.systems.base import Instances

#: Masks are scored in batches of a multiple of it: a CPU's convolutions keep a program for every number (1.7 MiB each).
STEP = 16


class B2InstPredictor:
    """Finds instances (see `systems.base.InstancePredictor`).

    Args:
        model: the network; copied for inference, not changed.
        precision: type of the network; boxes, blending and scores stay float32.
        short_side: images are brought to this short side, as far as the long one stays below 5/3 of it; 0 = native,
            None = the configuration's.
        score_threshold: locations below it are no candidates; None = the configuration's.
        top_k: maximum instances per image; None = the configuration's.
    """

    def __init__(
        self,
        model: B2Inst,
        *,
        precision: torch.dtype = torch.float32,
        short_side: int | None = None,
        score_threshold: float | None = None,
        top_k: int | None = None,
    ) -> None:
        self.model = _ready(model, precision)
        self.device = next(self.model.parameters()).device
        self.precision = precision
        config = model.config
        self.short_side = config.short_side if short_side is None else short_side
        self.score_threshold = config.score_threshold if score_threshold is None else score_threshold
        self.top_k = config.top_k if top_k is None else top_k

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[Instances]:
        """Find the instances of images (B,3,H,W), RGB, float in [0, 1] or uint8."""
        canvas = scaled_canvas(images, self.short_side, STRIDE)
        with autocast(self.device, self.precision):
            pixels = canvas.enter(in_unit_range(images.to(self.device, non_blocking=True)))
            encoded: Encoded = self.model(pixels.contiguous(memory_format=torch.channels_last))
        scale = canvas.box_scale(self.device)
        found = []
        for image in range(images.shape[0]):
            boxes, scores, labels, chosen = self._detect(encoded, image, canvas.size)
            regions = grown(boxes, self.model.config.mask_margin, canvas.size)
            masks, scores = self._segment(encoded, image, regions, scores, chosen, canvas.padded)
            order = scores.argsort(descending=True)
            boxes, regions = boxes[order] * scale, regions[order] * scale
            found.append(Instances(boxes, scores[order], labels[order], masks[order], regions))
        return found

    def _detect(self, encoded: Encoded, image: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes (N,4), scores (N,), labels (N,) and locations (N,) of the best candidates of an image."""
        sizes = [(level.logits.shape[2], level.logits.shape[3]) for level in encoded.levels]
        centres, strides = locations(sizes, self.device)
        first = 0
        parts = []
        for level, (height, width) in zip(encoded.levels, sizes, strict=True):
            quality = level.centerness[image].flatten().sigmoid().unsqueeze(1)
            scores = level.logits[image].flatten(1).t().sigmoid() * quality  # (h*w,L)
            places, labels = (scores > self.score_threshold).nonzero(as_tuple=True)
            values = scores[places, labels]
            best = values.topk(min(len(values), self.model.config.candidates)).indices
            places, labels, values = places[best], labels[best], values[best]
            sides = level.sides[image].flatten(1).t()[places] * strides[first]
            parts.append((boxes_of(centres[first + places], sides), values.sqrt(), labels, first + places))
            first += height * width
        boxes, scores, labels, chosen = (torch.cat(part) for part in zip(*parts, strict=True))
        boxes = clip_boxes_to_image(boxes, size)
        kept = batched_nms(boxes, scores, labels, self.model.config.nms_threshold)[: self.top_k]
        return boxes[kept], scores[kept], labels[kept], chosen[kept]

    def _segment(
        self, encoded: Encoded, image: int, boxes: Tensor, scores: Tensor, chosen: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Masks (N,R,R) inside boxes (N,4), and the scores with the quality of the masks."""
        images, config = torch.full_like(chosen, image), self.model.config
        attention = self.model.attention(encoded, images, chosen)
        masks = blend(crop_bases(encoded.bases.values, boxes, images, config.resolution), attention).sigmoid()
        resolution = fitting_resolution(boxes, config.resolution, config.largest_resolution)
        fine = enlarge(masks, boxes, encoded.bases.values, images, attention, resolution)
        if self.model.scoring is None or not len(boxes):
            return fine, scores
        pyramid = [level[image : image + 1] for level in encoded.pyramid]
        count, empty = len(boxes), -len(boxes) % STEP
        all_boxes, all_masks = F.pad(boxes, (0, 0, 0, empty)), F.pad(masks, (0, 0, 0, 0, 0, empty))
        iou, boundary = self.model.scoring(pyramid, [all_boxes], all_masks, size)
        return fine, final_score(scores, iou[:count].sigmoid(), boundary[:count].sigmoid())


def _ready(model: B2Inst, precision: torch.dtype) -> B2Inst:
    """Copy a network for inference, channels last."""
    copied = inference_copy(model, precision)
    store_convolutions(copied.backbone, precision)
    return copied.to(memory_format=torch.channels_last)
