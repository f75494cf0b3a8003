"""Objects that come nearer: the frame in which they were annotated is memorised again, enlarged (addition).

A network knows things at the scale at which it has seen them: of an object that has grown much since its mask was
given, the memory misses one part after the other, and what is lost does not come back. So when an object passes a
certain growth, what surrounds it in its annotated frame enters the memory once more, as it would look from nearer by.

Shape letters: K classes (background is class 0), H' W' padded working size.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.resize import resize_smooth, size_of

#: How much larger than now an object is shown: the memory then knows what is coming, and what lies between.
AHEAD = 1.6


class Annotated(NamedTuple):
    """A frame in which objects were given.

    Attributes:
        frame: (1,3,H',W').
        classes: (H',W') int32, the class of each pixel.
    """

    frame: Tensor
    classes: Tensor

    def enlarged(self, own: int, factor: float, count: int) -> tuple[Tensor, Tensor] | None:
        """Show what surrounds an object as it would look from nearer by.

        Args:
            own: its class.
            factor: how much larger, above 1.
            count: K, number of classes.

        Returns:
            (1,3,H',W') and soft masks (1,K,H',W'); None where the object has no pixel.
        """
        size, window = size_of(self.classes), []
        for across, length in ((1, size[0]), (0, size[1])):
            found = (self.classes == own).any(dim=across).nonzero().flatten()
            if not found.numel():
                return None
            extent = max(1, round(length / factor))
            centred = (int(found[0]) + int(found[-1]) + 1 - extent) // 2
            first = min(max(0, centred), length - extent)
            window.append(slice(first, first + extent))
        rows, columns = window
        masks = F.one_hot(self.classes[rows, columns].long(), count).permute(2, 0, 1).float().unsqueeze(0)
        frame = resize_smooth(self.frame[..., rows, columns], size).clamp_(0.0, 1.0)
        return frame.contiguous(memory_format=torch.channels_last), resize_smooth(masks, size)


@dataclass(frozen=True)
class Growth:
    """Growth of objects since their masks were given.

    Attributes:
        growths: ascending, ratios of an object's side (the square root of its area) to that in its annotated frame,
            from which on it is memorised again; empty = never.
        annotated: frames in which objects were given.
        where: of each object, the index of the last one of them.
        areas: (K-1,) of each object there, in pixels of the working size.
        passed: how many of the growths each object has passed.
    """

    growths: tuple[float, ...]
    annotated: tuple[Annotated, ...]
    where: tuple[int, ...]
    areas: Tensor
    passed: tuple[int, ...]

    def with_given(self, frame: Tensor, masks: Tensor, given: Sequence[int]) -> Growth:
        """Return the state after masks of some objects were given.

        Args:
            frame: (1,3,H',W').
            masks: (1,K,H',W') of all objects on this frame.
            given: indices of those objects; the others keep their annotated frames.
        """
        if not self.growths:
            return self
        count = masks.shape[1] - 1
        fresh = count - len(self.where)
        latest = len(self.annotated)
        where = [latest if k in given else index for k, index in enumerate((*self.where, *[latest] * fresh))]
        passed = [0 if k in given else number for k, number in enumerate((*self.passed, *[0] * fresh))]
        here = torch.zeros(count, dtype=torch.bool)
        here[list(given)] = True
        here = here.to(masks.device, non_blocking=True)
        areas = torch.where(here, areas_of(masks), F.pad(self.areas, (0, fresh)))
        frames = (*self.annotated, Annotated(frame, masks[0].argmax(dim=0).int()))
        used = sorted(set(where))
        kept = tuple(frames[i] for i in used)
        return Growth(self.growths, kept, tuple(used.index(i) for i in where), areas, tuple(passed))

    def after(self, masks: Tensor) -> tuple[Growth, list[tuple[int, float]]]:
        """Look for objects that have passed further growths.

        Args:
            masks: (1,K,H',W') of the newest frame.

        Returns:
            the state after it, and of each such object its index and the largest growth that it has passed.
        """
        if not self.growths:
            return self, []
        ratios = (areas_of(masks) / self.areas.clamp_min(1.0)).sqrt().tolist()
        news = []
        for k, (before, ratio) in enumerate(zip(self.passed, ratios, strict=True)):
            now = bisect_left(self.growths, ratio)
            if now > before:
                news.append((k, now))
        passed = dict(enumerate(self.passed)) | dict(news)
        return replace(self, passed=tuple(passed.values())), [(k, self.growths[now - 1]) for k, now in news]

    def enlarged(self, news: Sequence[tuple[int, float]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield frame (1,3,H',W') and masks (1,K,H',W') for each of the objects that `after` found."""
        for k, growth in news:
            shown = self.annotated[self.where[k]].enlarged(k + 1, AHEAD * growth, len(self.where) + 1)
            if shown is not None:
                yield shown

    def state(self) -> dict[str, Tensor]:
        """Return all of it as named tensors."""
        tensors = {"areas": self.areas}
        tensors |= {name: torch.tensor(getattr(self, name), dtype=torch.int64) for name in ("where", "passed")}
        for index, (frame, classes) in enumerate(self.annotated):
            tensors |= {f"{index}.frame": frame, f"{index}.classes": classes}
        return tensors


def no_growth(growths: tuple[float, ...], device: torch.device) -> Growth:
    """Return the state before any object was given."""
    return Growth(growths, (), (), torch.zeros(0, device=device), ())


def growth_from_state(growths: tuple[float, ...], tensors: Mapping[str, Tensor]) -> Growth:
    """Restore `Growth.state()`, on the device that the tensors are on."""
    where, passed = (tuple(tensors[name].tolist()) for name in ("where", "passed"))
    frames = []
    for index in range(1 + max(where, default=-1)):
        frame = tensors[f"{index}.frame"].contiguous(memory_format=torch.channels_last)
        frames.append(Annotated(frame, tensors[f"{index}.classes"]))
    return Growth(growths, tuple(frames), where, tensors["areas"], passed)


def areas_of(masks: Tensor) -> Tensor:
    """Areas (K-1,) of the objects in masks (1,K,H',W')."""
    return masks[0, 1:].sum(dim=(1, 2))
