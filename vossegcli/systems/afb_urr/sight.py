"""Scene cuts: which objects are in sight, so that nothing is painted in a scene that does not show them (addition).

Without it, the memory paints what looks most like the object into any scene. After a cut an object is out of sight
until what is found agrees with the annotated frames nearly as well as it did before the cut. Nothing here waits for
the device. Shape letters: K classes (background is class 0), C channels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vossegcli.systems.afb_urr.decoder import EPS
from vossegcli.systems.afb_urr.matching import MAX_SIMILARITIES

#: Share of its agreement before the cut from which on an object is in sight again, and the least agreement for that.
AS_BEFORE, AT_LEAST = 0.5, 0.06
#: Agreement of an object whose mask has just been given: that of the next frames is not known yet.
OF_GIVEN = 0.5
#: Log odds of an object that is out of sight.
HIDDEN = -20.0


class Sight(NamedTuple):
    """Objects in and out of sight.

    Attributes:
        agreement: (K-1,) of each object with the annotated frames, in the newest frame that showed it.
        lost: (K-1,) of objects out of sight, the agreement that they had before; 0 = in sight.
    """

    agreement: Tensor
    lost: Tensor

    def after(self, cut: Tensor, agreed: Tensor) -> Sight:
        """Return the state after a frame.

        Args:
            cut: () whether it begins another scene.
            agreed: (K-1,) agreement of what was found in it.
        """
        lost = torch.where(cut, torch.maximum(self.lost, self.agreement), self.lost)
        seen = agreed >= (AS_BEFORE * lost).clamp_min(AT_LEAST)
        lost = torch.where((lost > 0) & ~seen, lost, torch.zeros_like(lost))
        return Sight(torch.where(lost > 0, self.agreement, agreed), lost)

    def with_marked(self, marked: Sequence[int], count: int) -> Sight:
        """Return the state after masks of some objects were given, and their number has grown to `count`."""
        fresh = (0, count - self.lost.shape[0])
        given = torch.zeros(count, dtype=torch.bool)
        given[list(marked)] = True
        given = given.to(self.lost.device, non_blocking=True)
        agreement = F.pad(self.agreement, fresh).masked_fill(given, OF_GIVEN)
        return Sight(agreement, F.pad(self.lost, fresh).masked_fill(given, 0.0))

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
    return Sight(torch.full((count,), OF_GIVEN, device=device), torch.zeros(count, device=device))


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
