"""The training-free baseline of `selection.py`: masks copied from the cells with the nearest features.

The features are those of EfficientNet-Lite's ImageNet weights at strides 8 and 16, side by side; the memory is the
frame on which the objects were marked and the last five. Nothing is trained and nothing is tuned to a video.

Shape letters: K classes (background is class 0), H W pixels, h w cells at stride 8, C channels.
"""

from __future__ import annotations

import math
from collections import deque

import torch
from plain_afb_urr import one_hot_classes
from torch import Tensor
from torch.nn import functional

from vossegcli.io.weights.pretrained import read_imagenet
from vossegcli.layers.efficientnet_lite import MEAN, STD, EfficientNetLite, imagenet_names
from vossegcli.layers.inference import inference_copy
from vossegcli.ops.resize import working_size

STRIDE, SHORT_SIDE = 8, 320
NEIGHBOURS, RECENT, RADIUS, TEMPERATURE = 7, 5, 12, 0.05
CHANNELS_FROM = (2, 3)  # stages C3 and C4


class NearestFeatures:
    """Follows objects like a `VideoPredictor`, with `start`, `step` and `add_objects` alone."""

    def __init__(self) -> None:
        backbone = EfficientNetLite("lite0", stages=4)
        weights = read_imagenet("efficientnet_lite0")
        backbone.load_state_dict({o: weights[t] for o, t in imagenet_names(backbone).items()})
        self.backbone = inference_copy(backbone)
        self.ids: tuple[int, ...] = ()
        self._marked: list[tuple[Tensor, Tensor]] = []
        self._recent: deque[tuple[Tensor, Tensor]] = deque(maxlen=RECENT)

    @torch.inference_mode()
    def start(self, frame: Tensor, label_map: Tensor) -> None:
        """Forget everything and begin with an annotated frame."""
        self.ids = tuple(int(i) for i in label_map.unique() if i > 0)
        features = self._features(frame)
        self._marked = [(features, self._labels(label_map, features))]
        self._recent.clear()

    @torch.inference_mode()
    def add_objects(self, frame: Tensor, label_map: Tensor) -> None:
        """Add objects on the frame of the last step."""
        fresh = tuple(int(i) for i in label_map.unique() if i > 0 and int(i) not in self.ids)
        self.ids = (*self.ids, *fresh)
        wider = [
            (features, functional.pad(labels, (0, 0, 0, 0, 0, len(fresh))))
            for features, labels in (*self._marked, *self._recent)
        ]
        self._recent = deque(wider[len(self._marked) :], maxlen=RECENT)
        features = self._features(frame)
        self._marked = [*wider[: len(self._marked)], (features, self._labels(label_map, features))]

    @torch.inference_mode()
    def step(self, frame: Tensor) -> Tensor:
        """Segment the next frame: (H,W) ids."""
        features = self._features(frame)
        memory = [*self._marked, *self._recent]
        labels = copy_labels(features, [f for f, _ in memory], torch.stack([m for _, m in memory]))
        self._recent.append((features, labels))
        size = (frame.shape[-2], frame.shape[-1])
        classes = functional.interpolate(labels.unsqueeze(0), size=size, mode="bilinear")[0].argmax(dim=0)
        return torch.tensor((0, *self.ids), dtype=torch.int32)[classes]

    def _features(self, frame: Tensor) -> Tensor:
        """Unit features (C,h,w) of a frame (3,H,W)."""
        height, width = working_size((frame.shape[-2], frame.shape[-1]), SHORT_SIDE)
        size = (math.ceil(height / 16) * 16, math.ceil(width / 16) * 16)
        small = functional.interpolate(frame.unsqueeze(0), size=size, mode="bilinear", antialias=True)
        stages = self.backbone((small - MEAN) / STD)
        maps = [functional.normalize(stages[index], dim=1) for index in CHANNELS_FROM]
        maps[1] = functional.interpolate(maps[1], scale_factor=2, mode="bilinear")
        return functional.normalize(torch.cat(maps, dim=1), dim=1)[0]

    def _labels(self, label_map: Tensor, features: Tensor) -> Tensor:
        """Shares (K,h,w) of the classes in the cells of a label map (H,W)."""
        classes = one_hot_classes(label_map, self.ids).unsqueeze(0)
        return functional.interpolate(classes, size=features.shape[1:], mode="area")[0]


def copy_labels(features: Tensor, memory: list[Tensor], labels: Tensor) -> Tensor:
    """Average the labels of each cell's nearest neighbours in the memory, within a window around its place.

    Args:
        features: (C,h,w) unit vectors.
        memory: M of the same.
        labels: (M,K,h,w).

    Returns:
        (K,h,w).
    """
    height, width = features.shape[1:]
    keys, values = torch.stack(memory, dim=1), labels.permute(0, 2, 3, 1)  # (C,M,h,w), (M,h,w,K)
    columns = torch.arange(width)
    beyond = ((columns.view(-1, 1) - columns).abs() > RADIUS).unsqueeze(1)  # (w,1,w)
    rows = []
    for y in range(height):
        band = slice(max(0, y - RADIUS), y + RADIUS + 1)
        similar = features[:, y].T @ keys[:, :, band].flatten(1)  # (w,M*R*w)
        similar = similar.view(width, -1, width).masked_fill_(beyond, -1.0).flatten(1)
        best = similar.topk(NEIGHBOURS, dim=1)
        weights = torch.softmax(best.values / TEMPERATURE, dim=1)
        near = values[:, band].flatten(0, 2)  # (M*R*w,K)
        rows.append((near[best.indices] * weights.unsqueeze(2)).sum(dim=1))  # (w,K)
    return torch.stack(rows).permute(2, 0, 1)
