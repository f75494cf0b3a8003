"""AFB-URR in the plain order of operations of the paper's code: the baseline of `propagate.py`.

Written from the paper and from facts about the published program; it does the same sums on the same weights,
one after the other: float32, NCHW, batch norms as they are, the memory encoder on K copies of the frame, the
decoder's skip branches once a class, and a bank that grows by `torch.cat`. `tests/benchmarks` holds it to
stored results of the published program.

Shape letters: K classes (background is class 0), C key or V value channels, H W pixels, h w cells at stride
16, M bank entries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vossegcli.layers.blocks import PreActivationBlock
from vossegcli.ops.padding import Padding, centred_padding, pad, unpad
from vossegcli.systems.afb_urr.decoder import Refine
from vossegcli.systems.afb_urr.model import AFBURR

STRIDE = 16
USAGE_THRESHOLD = 1e-3
MAX_USAGE = 1e5
EPS = 1e-8


def one_hot_classes(label_map: Tensor, ids: Sequence[int]) -> Tensor:
    """Turn ids (H,W) into masks (K,H,W) of 0 and 1; class 0 is whatever no object of `ids` covers."""
    objects = torch.stack([label_map == i for i in ids])
    return torch.cat([~objects.any(dim=0, keepdim=True), objects]).float()


@dataclass
class PlainClass:
    """Memory of one class: keys (M,C), values (M,V); frame of entry and usage, both (M,)."""

    keys: Tensor
    values: Tensor
    inserted: Tensor
    usage: Tensor


class PlainPropagation:
    """Follows the classes of a first frame through a video whose frames have one size.

    Args:
        model: a network of the published configuration, in eval mode; used as it is.
        budget: entries of all classes together.
        update_rate: weight of a new feature in a merge.
        merge_threshold: cosine above which a feature is merged.
    """

    def __init__(
        self, model: AFBURR, budget: int = 300_000, update_rate: float = 0.1, merge_threshold: float = 0.95
    ) -> None:
        self.model = model
        self.budget = budget
        self.update_rate = update_rate
        self.merge_threshold = merge_threshold
        self.bank: list[PlainClass] = []
        self.frame = 0

    @torch.no_grad()
    def start(self, frame: Tensor, masks: Tensor) -> None:
        """Begin with frame (3,H,W) in [0, 1] and its one-hot masks (K,H,W)."""
        self.frame = 0
        self.padding: Padding = centred_padding(*frame.shape[-2:], STRIDE)
        keys, values = self._memorise(frame, masks)
        self.bank = [_entries(k, v, 0) for k, v in zip(keys, values, strict=True)]

    @torch.no_grad()
    def step(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Segment a frame (3,H,W): logits (K,H,W) and their softmax over classes. `remember` is to follow."""
        self.frame += 1
        x = pad(frame.unsqueeze(0), self.padding)
        r1, r2, r3, r4, _ = self.model.encoder_q(x)
        key, value = self.model.keyval_r4.Key(r4), self.model.keyval_r4.Value(r4)
        matched = torch.stack([torch.cat([self._read(c, key), value], dim=1)[0] for c in self.bank])  # (K,2V,h,w)
        probs = decode(self.model, matched, r3, r2, r1)  # (K,H',W')
        p = unpad(probs, self.padding).clamp(1e-7, 1.0 - 1e-7)
        logits = torch.log(p / (1.0 - p))
        return logits, logits.softmax(dim=0)

    @torch.no_grad()
    def remember(self, frame: Tensor, masks: Tensor) -> None:
        """Memorise the frame of the last step with its soft masks (K,H,W)."""
        keys, values = self._memorise(frame, masks)
        for index, memory in enumerate(self.bank):
            self.bank[index] = self._absorb(memory, keys[index], values[index])

    def _memorise(self, frame: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (K,hw,C) and values (K,hw,V) of a frame and its masks."""
        net = self.model.encoder_m
        mask = pad(masks.unsqueeze(1), self.padding)  # (K,1,H',W')
        frames = pad(frame.unsqueeze(0), self.padding).expand(mask.shape[0], -1, -1, -1)
        stem = net.conv1(net.normalise(frames)) + net.conv1_m(mask) + net.conv1_o((1.0 - mask).clamp(0.0, 1.0))
        r4 = net.stages(stem).r4
        keys, values = self.model.keyval_r4.Key(r4), self.model.keyval_r4.Value(r4)
        return keys.flatten(2).transpose(1, 2), values.flatten(2).transpose(1, 2)

    def _read(self, memory: PlainClass, key: Tensor) -> Tensor:
        """Attend from every cell to all entries of a class in one piece: (1,V,h,w); count who is used."""
        similarity = memory.keys @ key[0].flatten(1) / math.sqrt(key.shape[1])  # (M,hw)
        weights = similarity.softmax(dim=0)
        used = torch.where(weights > USAGE_THRESHOLD, torch.ones_like(weights), torch.zeros_like(weights))
        memory.usage += torch.log(1.0 + used.sum(dim=1))
        return (memory.values.T @ weights).view(1, -1, *key.shape[-2:])

    def _absorb(self, memory: PlainClass, keys: Tensor, values: Tensor) -> PlainClass:
        """Merge features that are close to an entry, append the others."""
        similarity = F.normalize(keys, dim=1) @ F.normalize(memory.keys, dim=1).T  # (hw,M)
        best, index = similarity.max(dim=1)
        close = best > self.merge_threshold
        if bool(close.any()):
            memory.keys = self._merge(memory.keys, keys[close], index[close])
            memory.values = self._merge(memory.values, values[close], index[close])
        new = _entries(keys[~close], values[~close], self.frame)
        limit = self.budget / len(self.bank) * (0.8 if len(self.bank) == 2 else 1.0)
        if memory.keys.shape[0] + new.keys.shape[0] > limit:
            raise RuntimeError("the plain baseline stops where the bank is full: use fewer frames")
        fields = ("keys", "values", "inserted", "usage")
        grown = PlainClass(*(torch.cat([getattr(memory, f), getattr(new, f)]) for f in fields))
        grown.usage.clamp_(0.0, MAX_USAGE)
        return grown

    def _merge(self, rows: Tensor, new_rows: Tensor, index: Tensor) -> Tensor:
        touched, group = index.unique(return_inverse=True)
        sums = rows.new_zeros(touched.numel(), rows.shape[1]).index_add_(0, group, F.normalize(new_rows, dim=1))
        mean = sums / torch.bincount(group).unsqueeze(1)
        old = rows[touched]
        turned = (1.0 - self.update_rate) * F.normalize(old, dim=1) + self.update_rate * mean
        rows[touched] = old.norm(dim=1, keepdim=True) * turned
        return rows


def decode(model: AFBURR, matched: Tensor, r3: Tensor, r2: Tensor, r1: Tensor) -> Tensor:
    """Decode matched features (K,C,h,w) with the frame's pyramid (1,C,H/s,W/s): probabilities (K,H,W)."""
    net, classes = model.decoder, matched.shape[0]
    x = _block(net.ResMM, net.convFM(matched))
    x = _refine(net.RF3, r3.expand(classes, -1, -1, -1), x)
    x = _refine(net.RF2, r2.expand(classes, -1, -1, -1), x)
    logits = _double(net.pred2(F.relu(x)))  # (K,2,H/2,W/2)
    rough = logits.softmax(dim=1)[:, 1].softmax(dim=0).unsqueeze(1)  # (K,1,H/2,W/2)
    top = rough.topk(2, dim=0).values
    unsure = torch.exp(1.0 - top[:1] / (top[1:] + EPS)).expand(classes, -1, -1, -1)
    features = r1.expand(classes, -1, -1, -1)
    local = _window_mean(features * rough) / (_window_mean(rough) + EPS)
    confidence = F.max_pool2d(rough, 7, stride=1, padding=3)
    y = _block(net.local_ResMM, net.local_convFM(torch.cat([features, local], dim=1)))
    refined = logits + unsure * (confidence * net.local_pred2(F.relu(y)))
    return _double(refined).softmax(dim=1)[:, 1]


def _refine(net: Refine, skip: Tensor, below: Tensor) -> Tensor:
    return _block(net.ResMM, _block(net.ResFS, net.convFS(skip)) + _double(below))


def _block(net: PreActivationBlock | nn.Module, x: Tensor) -> Tensor:
    y: Tensor = x + net.conv2(F.relu(net.conv1(F.relu(x))))
    return y


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _window_mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 7, stride=1, padding=3)


def _entries(keys: Tensor, values: Tensor, frame: int) -> PlainClass:
    count = keys.shape[0]
    return PlainClass(keys.clone(), values.clone(), keys.new_full((count,), float(frame)), keys.new_zeros(count))
