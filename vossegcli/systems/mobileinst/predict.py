"""MobileInst's predictors: images to instances, and videos to instances with identities.

Shape letters: B images, N queries, n instances, L classes, H W pixels, h w cells at stride 4, R side of a mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.layers.inference import inference_copy, store_convolutions
from vossegcli.named_parts import joined_parts, part_of
from vossegcli.ops.canvas import Canvas, scaled_canvas
from vossegcli.ops.images import in_unit_range
from vossegcli.ops.precision import autocast
from vossegcli.ops.spans import span_of
from vossegcli.systems.base import Instances, TrackedInstances
from vossegcli.systems.mobileinst.backbone import STRIDE
from vossegcli.systems.mobileinst.instance_decoder import Predictions
from vossegcli.systems.mobileinst.mask_decoder import MASK_STRIDE, mask_logits, predicted_centres
from vossegcli.systems.mobileinst.model import Encoded, MobileInst
from vossegcli.systems.mobileinst.tracking import KernelTracker, mask_overlaps

SIDE = 64  # of a mask in its box
MASK = 0.5  # probability from which on a pixel belongs to a mask; the public reproduction takes 0.45


class _Frame(NamedTuple):
    """Encoded images and the canvas on which the network worked."""

    encoded: Encoded
    canvas: Canvas


class _Network:
    """The network with resizing and padding around it."""

    def __init__(self, model: MobileInst, precision: torch.dtype, short_side: int | None) -> None:
        self.model = inference_copy(model, precision).to(memory_format=torch.channels_last)
        store_convolutions(self.model, precision)
        self.device = next(self.model.parameters()).device
        self.precision = precision
        self.short_side = model.config.short_side if short_side is None else short_side

    def encode(self, images: Tensor) -> _Frame:
        """Encode images (B,3,H,W), RGB, float in [0, 1] or uint8."""
        canvas = scaled_canvas(images, self.short_side, STRIDE)
        with autocast(self.device, self.precision):
            encoded: Encoded = self.model(canvas.enter(in_unit_range(images.to(self.device))))
        return _Frame(encoded, canvas)

    def detect(self, encoded: Encoded) -> Predictions:
        """Predict the instances of encoded images, in float32."""
        with autocast(self.device, self.precision):
            found = self.model.detect(encoded)
        return found.map(Tensor.float)

    def masks(self, frame: _Frame, image: int, kernels: Tensor) -> Tensor:
        """Probabilities (n,h,w) of kernels (n,K) in one of the images, without the padding."""
        cells = (-(-frame.canvas.size[0] // MASK_STRIDE), -(-frame.canvas.size[1] // MASK_STRIDE))
        if not len(kernels):
            return kernels.new_zeros(0, *cells, device=self.device)
        probs = mask_logits(kernels.unsqueeze(0), frame.encoded.embedded[image : image + 1].float())[0].sigmoid()
        return probs[:, : cells[0], : cells[1]]


class MobileInstPredictor:
    """Finds instances (see `systems.base.InstancePredictor`).

    Args:
        model: the network; copied for inference, not changed.
        precision: type of the network; kernels, masks and scores stay float32.
        short_side: images are brought to this short side, as far as the long one stays below 5/3 of it; 0 = native,
            None = the configuration's.
        score_threshold: instances below it are left out; None = the configuration's.
        top_k: maximum instances per image; None = the configuration's.
    """

    def __init__(
        self,
        model: MobileInst,
        *,
        precision: torch.dtype = torch.float32,
        short_side: int | None = None,
        score_threshold: float | None = None,
        top_k: int | None = None,
    ) -> None:
        self._network = _Network(model, precision, short_side)
        self.score_threshold = model.config.score_threshold if score_threshold is None else score_threshold
        self.top_k = model.config.top_k if top_k is None else top_k

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[Instances]:
        """Find the instances of images (B,3,H,W), RGB, float in [0, 1] or uint8."""
        frame = self._network.encode(images)
        found = self._network.detect(frame.encoded)
        return [self._instances(frame, found, image) for image in range(images.shape[0])]

    def _instances(self, frame: _Frame, found: Predictions, image: int) -> Instances:
        scores, labels = instance_scores(found, image).max(dim=1)
        chosen = scores.topk(min(self.top_k, len(scores))).indices
        chosen = chosen[scores[chosen] > self.score_threshold]
        masks = self._network.masks(frame, image, found.kernels[image, chosen])
        scores = scores[chosen] * maskness(masks)
        order = _mask_nms(masks, scores, self.score_threshold, self._network.model.config.overlap)
        boxes, inside = masks_in_boxes(masks[order], frame.canvas)
        return Instances(boxes, scores[order], labels[chosen][order], inside, boxes)


class MobileInstTracker:
    """Follows instances through a video (see `systems.base.TrackPredictor`).

    Only backbone and mask decoder run on every frame; the kernels of a key frame are used on the frames up to the
    next one (paper sec. 3.4). An addition, where kernels know where their instances are: after every frame they move to
    where the cells of their masks point to, and where every frame is a key frame, the masks that the kernels of the
    frame before have on it help to tell who is who (measured: after several frames without queries they mislead).

    Args:
        model: the network; copied for inference, not changed.
        precision: type of the network; kernels, masks and scores stay float32.
        short_side: as in `MobileInstPredictor`.
        score_threshold: instances below it are left out; None = the configuration's.
        top_k: maximum instances per frame; None = the configuration's.
        key_every: frames from one key frame to the next; None = the configuration's.
        max_gap: frames that an identity outlives without being seen.
        birth_threshold: score from which on an identity begins, where the configuration's is not lower.
    """

    def __init__(
        self,
        model: MobileInst,
        *,
        precision: torch.dtype = torch.float32,
        short_side: int | None = None,
        score_threshold: float | None = None,
        top_k: int | None = None,
        key_every: int | None = None,
        max_gap: int = 15,
        birth_threshold: float = 1.0,
    ) -> None:
        config = model.config
        self._network = _Network(model, precision, short_side)
        self.score_threshold = config.score_threshold if score_threshold is None else score_threshold
        self.top_k = config.top_k if top_k is None else top_k
        self.key_every = config.key_every if key_every is None else key_every
        self._new_tracker = partial(
            KernelTracker, similarity=config.similarity, birth_threshold=min(config.birth_threshold, birth_threshold),
            max_gap=max_gap + self.key_every - 1,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Forget everything and begin a video."""
        self._tracker = self._new_tracker()
        self._frames = 0
        self._ids = torch.zeros(0, dtype=torch.int64)
        self._kernels = torch.zeros(0, self._network.model.config.kernel)
        self._points = torch.zeros(0, 2)
        self._scores = torch.zeros(0, self._network.model.config.classes)

    @torch.no_grad()
    def step(self, frame: Tensor) -> TrackedInstances:
        """Find the instances of the next frame (3,H,W), RGB, float in [0, 1] or uint8, each with its identity."""
        encoded = self._network.encode(frame.unsqueeze(0))
        is_key = self._frames % self.key_every == 0
        if is_key:
            self._detect(encoded)
        self._frames += 1
        masks = self._network.masks(encoded, 0, self._kernels.to(self._network.device))
        seen = (masks.amax(dim=(1, 2)) > MASK).nonzero()[:, 0]
        boxes, inside = masks_in_boxes(masks if len(seen) == len(masks) else masks[seen], encoded.canvas)
        if not is_key:  # there, the queries have just said it
            self._follow(encoded, masks)
        scores, labels = self._scores.to(self._network.device)[seen].max(dim=1)
        return TrackedInstances(self._ids.to(seen.device)[seen], boxes, scores, labels, inside)

    def state(self) -> dict[str, Tensor]:
        """Return the memory as named tensors."""
        own = {"ids": self._ids, "kernels": self._kernels, "points": self._points, "scores": self._scores}
        return joined_parts({"tracks": self._tracker.state()}) | own | {"frames": torch.tensor(self._frames)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state()`."""
        self._tracker = self._new_tracker()
        self._tracker.load_state(part_of(tensors, "tracks"))
        self._frames = int(tensors["frames"])
        self._ids, self._kernels, self._points, self._scores = (
            tensors[name].clone() for name in ("ids", "kernels", "points", "scores")
        )

    def _detect(self, frame: _Frame) -> None:
        """Find the instances of a key frame; their kernels stand until the next one."""
        found = self._network.detect(frame.encoded)
        scores = instance_scores(found, 0)
        best = scores.amax(dim=1)
        chosen = best.topk(min(self.top_k, len(best))).indices
        chosen = chosen[best[chosen] > self.score_threshold]
        kernels = found.kernels[0, chosen]
        masks = self._network.masks(frame, 0, kernels)
        scores = scores[chosen] * maskness(masks).unsqueeze(1)
        kept = _mask_nms(masks, scores.amax(dim=1), self.score_threshold, self._network.model.config.track_overlap)
        kernels, scores = kernels[kept].cpu(), scores[kept].cpu()
        overlaps = None
        if self.key_every == 1 and found.reference_points is not None:
            tracks = self._tracker.kernels_at(self._frames).to(masks.device)
            overlaps = mask_overlaps(masks[kept] > MASK, self._network.masks(frame, 0, tracks) > MASK)
        ids, means = self._tracker.update(self._frames, kernels, scores, overlaps)
        self._ids, self._kernels, self._scores = ids[ids > 0], kernels[ids > 0], means[ids > 0]
        if found.reference_points is not None:
            self._points = found.reference_points[0, chosen][kept].cpu()[ids > 0]

    def _follow(self, frame: _Frame, masks: Tensor) -> None:
        """Move the kernels with their instances, whose masks (n,h,w) on this frame are known."""
        embedding = self._network.model.instance_decoder.point_embedding
        if embedding is None or not len(masks):
            return
        covered = (masks[:, ::2, ::2] > MASK).float()  # a quarter of the cells: those of the features
        centres = predicted_centres(frame.encoded.dense, frame.encoded.origin)
        pointed = centres[0, : covered.shape[1], : covered.shape[2]]
        areas = covered.sum(dim=(1, 2)).unsqueeze(1)
        before = self._points.to(masks.device)
        after = torch.einsum("nhw,hwc->nc", covered, pointed) / areas.clamp_min(1.0)
        after = torch.where(areas > 0, after, before)
        self._kernels = embedding.moved(self._kernels.to(masks.device), before, after).cpu()
        self._points = after.cpu()
        self._tracker.follow(self._ids, self._kernels)


def _mask_nms(masks: Tensor, scores: Tensor, threshold: float, overlap: float) -> Tensor:
    """Non-maximum suppression by masks: indices, by falling score, of instances that double no better one.

    Args:
        masks: (n,h,w) probabilities.
        scores: (n,).
        threshold: of the scores.
        overlap: IoU of two masks from which on the weaker one doubles the other; 1 = none does.
    """
    seen = (scores > threshold).nonzero()[:, 0]
    order = seen[scores[seen].argsort(descending=True)]
    if overlap >= 1.0 or len(order) < 2:  # noqa: PLR2004
        return order
    covered = masks[order, ::2, ::2] > MASK  # a quarter of the cells tells as much
    doubles = mask_overlaps(covered, covered) >= overlap
    kept = torch.ones(len(order), dtype=torch.bool, device=order.device)
    for number in range(len(order)):
        if kept[number]:
            kept[number + 1 :] &= ~doubles[number, number + 1 :]
    return order[kept]


def instance_scores(found: Predictions, image: int) -> Tensor:
    """`sqrt(class * objectness)` of the queries of an image for every class (N,L)."""
    return (found.logits[image].sigmoid() * found.objectness[image].sigmoid().unsqueeze(1)).sqrt()


def maskness(masks: Tensor) -> Tensor:
    """Mean probability (n,) of the pixels that masks (n,h,w) cover; 0 for empty ones."""
    covered = (masks > MASK).float()
    return (masks * covered).sum(dim=(1, 2)) / covered.sum(dim=(1, 2)).clamp_min(1.0)


def masks_in_boxes(masks: Tensor, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Boxes (n,4) in pixels of the image around masks (n,h,w), none of them empty, and the masks in them (n,R,R).

    A box is half a cell larger than the cells that are covered, for between two cells the mask can reach that far, but
    ends with the image.
    """
    if not len(masks):
        return masks.new_zeros(0, 4), masks.new_zeros(0, SIDE, SIDE)
    columns, rows = masks.amax(dim=1) > MASK, masks.amax(dim=2) > MASK
    sides = []
    for line in (columns, rows):
        low, high = span_of(line)
        sides.append((low - 0.5, high + 0.5))
    (left, right), (top, bottom) = sides
    limits = torch.tensor([canvas.size[1], canvas.size[0]] * 2, device=masks.device) / MASK_STRIDE
    cells = torch.stack([left, top, right, bottom], dim=1).clamp_min(0.0).minimum(limits)
    return cells * MASK_STRIDE * canvas.box_scale(masks.device), _resampled(masks, cells)


def _resampled(masks: Tensor, boxes: Tensor) -> Tensor:
    """Masks (n,R,R) in boxes (n,4) of masks (n,h,w): RoIAlign with a sample a cell, at half its time on a CPU."""
    size = masks.new_tensor([masks.shape[2], masks.shape[1]])
    first, last = boxes[:, :2] / size, boxes[:, 2:] / size
    shares = (torch.arange(SIDE, device=masks.device) + 0.5) / SIDE
    points = 2.0 * torch.lerp(first.unsqueeze(1), last.unsqueeze(1), shares.view(1, -1, 1)) - 1.0  # (n,R,2)
    x, y = points[:, :, 0].unsqueeze(1), points[:, :, 1].unsqueeze(2)
    grid = torch.stack(torch.broadcast_tensors(x, y), dim=3)
    return F.grid_sample(masks.unsqueeze(1), grid, padding_mode="border", align_corners=False)[:, 0]
