"""Objects in and out of sight, and where they are, so that nothing is painted where they cannot be (addition).

Without it, the memory paints what looks most like the object into any scene. After a cut an object is out of sight
until what is found agrees with the annotated frames nearly as well as it did before the cut. While it is held, it does
not jump: what looks like it far off is something else. Nothing here waits for the device.

Shape letters: K classes (background is class 0), C channels, h w cells, H W pixels of the working size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.ops.resize import size_of
from vossegcli.ops.spans import span_of, within
from vossegcli.systems.afb_urr.decoder import EPS
from vossegcli.systems.afb_urr.matching import MAX_SIMILARITIES

#: Share of its agreement before the cut from which on an object is in sight again, and the least agreement for that.
AS_BEFORE, AT_LEAST = 0.5, 0.06
#: Agreement of an object whose mask has just been given: that of the next frames is not known yet.
OF_GIVEN = 0.5
#: Log odds of an object where it cannot be.
HIDDEN = -20.0
#: Share of a cell from which on it is an object's.
OF_OBJECT = 0.5
#: An object is held while this share of it is near where it was. What it covered lately is a running mean, in which a
#: frame has that weight.
HELD, NEWEST_SHARE = 0.5, 0.1
#: Pixels that a small object may move, besides the share of its side.
FREE = 24


class Sight(NamedTuple):
    """Objects in and out of sight.

    Attributes:
        agreement: (K-1,) of each object with the annotated frames, in the newest frame that showed it.
        lost: (K-1,) of objects out of sight, the agreement that they had before; 0 = in sight.
        area: (K-1,) cells at stride 4 that each covered lately, a running mean; 0 = not known yet.
    """

    agreement: Tensor
    lost: Tensor
    area: Tensor

    def after(self, cut: Tensor, agreed: Tensor) -> Sight:
        """Return the state after a frame.

        Args:
            cut: () whether it begins another scene.
            agreed: (K-1,) agreement of what was found in it.
        """
        lost = torch.where(cut, torch.maximum(self.lost, self.agreement), self.lost)
        seen = agreed >= (AS_BEFORE * lost).clamp_min(AT_LEAST)
        lost = torch.where((lost > 0) & ~seen, lost, torch.zeros_like(lost))
        return self._replace(agreement=torch.where(lost > 0, self.agreement, agreed), lost=lost)

    def covering(self, masks: Tensor) -> Sight:
        """Return the state after masks (1,K,H/4,W/4) of the newest frame; hidden objects keep their area."""
        area = (masks[0, 1:] > OF_OBJECT).sum(dim=(1, 2)).float()
        mean = torch.where(self.area > 0, self.area.lerp(area, NEWEST_SHARE), area)
        return self._replace(area=torch.where(area > 0, mean, self.area))

    def keep_near(self, logits: Tensor, masks: Tensor, reach: float) -> Tensor:
        """Take an object out of all places far from where it was, while most of it is found near there.

        Args:
            logits: (1,K,H,W) log odds of each class in a frame.
            masks: (1,K,H/4,W/4) of the frame before it; `covering` knows them.
            reach: how far an object may move, in the longer side of its box; 0 = anywhere.
        """
        if not reach:
            return logits
        covered = masks[0, 1:] > OF_OBJECT  # (K-1,H/4,W/4)
        spans = [tuple(4 * place for place in span_of(covered.any(dim=axis))) for axis in (2, 1)]  # rows, columns
        margin = reach * torch.maximum(*(after - first for first, after in spans)) + FREE
        rows, columns = (
            within(first - margin, after + margin, size)
            for (first, after), size in zip(spans, size_of(logits), strict=True)
        )
        near = rows.unsqueeze(2) & columns.unsqueeze(1)  # (K-1,H,W)
        found = (near & (logits[0, 1:] > logits[0, :1])).sum(dim=(1, 2)) / 16  # cells
        held = found >= HELD * self.area.clamp_min(1.0)
        far = held.view(-1, 1, 1) & ~near
        return logits.masked_fill(F.pad(far, (0, 0, 0, 0, 1, 0)), HIDDEN)

    def with_marked(self, marked: Sequence[int], count: int) -> Sight:
        """Return the state after masks of some objects were given, and their number has grown to `count`."""
        fresh = (0, count - self.lost.shape[0])
        given = torch.zeros(count, dtype=torch.bool)
        given[list(marked)] = True
        given = given.to(self.lost.device, non_blocking=True)
        agreement = F.pad(self.agreement, fresh).masked_fill(given, OF_GIVEN)
        lost, area = (F.pad(known, fresh).masked_fill(given, 0.0) for known in (self.lost, self.area))
        return Sight(agreement, lost, area)

    @property
    def may_hide(self) -> bool:
        """False where all objects are in sight; a GPU is not asked, for that would wait for it."""
        return self.lost.device.type != "cpu" or bool((self.lost > 0).any())

    def hide(self, logits: Tensor) -> Tensor:
        """Take objects out of sight out of log odds (1,K,H,W)."""
        hidden = F.pad(self.lost > 0, (1, 0)).view(1, -1, 1, 1)
        return logits.masked_fill(hidden, HIDDEN)


def in_sight(count: int, device: torch.device) -> Sight:
    """Return the state in which a number of objects have just been marked."""
    agreement, lost, area = (torch.full((count,), value, device=device) for value in (OF_GIVEN, 0.0, 0.0))
    return Sight(agreement, lost, area)


def agreement(masks: Tensor, annotated: Tensor, similarity: Tensor) -> Tensor:
    """Return how much of each object's mask the annotated frames alone confirm: (K,) in [0, 1].

    It is the overlap (intersection over union) of the two masks, where a cell that looks like nothing in the annotated
    frames confirms little.

    Args:
        masks: (K,Q,n) shares of each object in the parts of Q cells, as segmented.
        annotated: (K,Q,n) likewise, as read from the annotated frames.
        similarity: (K,Q) cosine similarity of the cells to the annotated frames.
    """
    common = (torch.minimum(masks, annotated) * similarity.clamp(0.0, 1.0).unsqueeze(2)).sum(dim=(1, 2))
    return common / torch.maximum(masks, annotated).sum(dim=(1, 2)).clamp_min(EPS)


def likeness(before: Tensor, now: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Return how well a frame's cells are found in the frame before: () mean cosine of each to its closest.

    Args:
        before: (C,h,w) keys.
        now: (C,h,w) keys.
        precision: of the cosines.
    """
    known, new = (F.normalize(keys.float().flatten(1), dim=0).to(precision) for keys in (before, now))  # (C,hw)
    chunk = max(1, MAX_SIMILARITIES // known.shape[1])
    return torch.cat([(part.T @ known).amax(dim=1) for part in new.split(chunk, dim=1)]).float().mean()


def nothing_like(masks: Tensor) -> Tensor:
    """Return masks (1,K,H,W) of the same shape in which all is background."""
    return F.pad(torch.zeros_like(masks[:, 1:]), (0, 0, 0, 0, 1, 0), value=1.0)
