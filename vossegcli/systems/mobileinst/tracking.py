"""Identities from one key frame to the next: kernels of the same object look alike (paper sec. 3.4).

The paper associates the instances of all key frames by the cosine of their kernels (Hungarian method, as MinVIS does
with queries). Beyond it, tracks are born and end here, and where the masks of tracks on the frame are known, their
overlap with the instances counts too: objects that look alike have kernels that do.

Shape letters: n instances of a frame, M tracks, K length of a kernel, L classes, h w cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

KEPT = 0.5  # of the birth threshold: what an instance must reach to go on with a track
AGREEMENT = 0.4  # sum of alikeness and overlap from which on an instance can belong to a track
APART = 0.05  # IoU of masks that do not overlap
EPSILON = 1e-6
SURE = 0.85  # cosine from which on two kernels are of the same object, wherever their masks are


class KernelTracker:
    """Gives the instances of key frames their identities.

    Args:
        similarity: cosine from which on two kernels can be of the same object.
        birth_threshold: score from which on an instance that belongs to no track begins one; half of it keeps one.
        max_gap: frames between two key frames that see a track, at most.
    """

    def __init__(self, *, similarity: float, birth_threshold: float, max_gap: int) -> None:
        self.similarity = similarity
        self.birth_threshold = birth_threshold
        self.max_gap = max_gap
        self._ids = torch.zeros(0, dtype=torch.int64)
        self._kernels = torch.zeros(0, 0)
        self._sums = torch.zeros(0, 0)
        self._seen = torch.zeros(0, dtype=torch.int64)  # how often
        self._last = torch.zeros(0, dtype=torch.int64)  # frame
        self._next_id = 1

    def kernels_at(self, frame: int) -> Tensor:
        """Drop the tracks that have ended before a frame; the kernels (M,K) of the others."""
        self._keep(frame - self._last <= self.max_gap + 1)
        return self._kernels

    def update(
        self, frame: int, kernels: Tensor, scores: Tensor, overlaps: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Associate the instances of a key frame with the tracks.

        Args:
            frame: its number; larger than the last one.
            kernels: (n,K).
            scores: (n,L) of the classes.
            overlaps: (n,M) IoU of their masks with those that `kernels_at` gives the tracks on this frame; None =
                kernels alone decide (paper).

        Returns:
            ids (n,) from 1 on, 0 = belongs to no track; and mean scores (n,L) of their tracks so far.
        """
        kernels, scores = kernels.float().cpu(), scores.float().cpu()
        if not len(self.kernels_at(frame)):
            self._kernels, self._sums = kernels[:0], scores[:0]
        ids = torch.zeros(len(kernels), dtype=torch.int64)
        strong = (scores.amax(dim=1) >= KEPT * self.birth_threshold).nonzero()[:, 0]
        found, columns = self._pairs(kernels[strong], None if overlaps is None else overlaps.cpu()[strong])
        rows = strong[found]
        ids[rows] = self._ids[columns]
        self._kernels[columns] = kernels[rows]
        self._sums[columns] += scores[rows]
        self._seen[columns] += 1
        self._last[columns] = frame
        born = ((ids == 0) & (scores.amax(dim=1) >= self.birth_threshold)).nonzero()[:, 0]
        ids[born] = torch.arange(self._next_id, self._next_id + len(born))
        self._add(ids[born], kernels[born], scores[born], frame)
        row = {int(number): index for index, number in enumerate(self._ids)}
        own = torch.tensor([row.get(int(number), 0) for number in ids], dtype=torch.int64)
        means = self._sums[own] / self._seen[own].unsqueeze(1) if len(self._ids) else scores
        return ids, torch.where((ids > 0).unsqueeze(1), means, scores)

    def follow(self, ids: Tensor, kernels: Tensor) -> None:
        """Replace the kernels (n,K) of tracks (n,), which have moved since the last key frame."""
        row = {int(number): index for index, number in enumerate(self._ids)}
        self._kernels[torch.tensor([row[int(number)] for number in ids], dtype=torch.int64)] = kernels

    def state(self) -> dict[str, Tensor]:
        """Return the tracks as named tensors."""
        return {
            "ids": self._ids.clone(), "kernels": self._kernels.clone(), "sums": self._sums.clone(),
            "seen": self._seen.clone(), "last": self._last.clone(), "next_id": torch.tensor(self._next_id),
        }  # fmt: skip

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state()`."""
        self._ids, self._kernels, self._sums = (tensors[name].clone() for name in ("ids", "kernels", "sums"))
        self._seen, self._last = tensors["seen"].clone(), tensors["last"].clone()
        self._next_id = int(tensors["next_id"])

    def _pairs(self, kernels: Tensor, overlaps: Tensor | None) -> tuple[Tensor, Tensor]:
        """Instances and tracks that belong together."""
        if not len(kernels) or not len(self._ids):
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
        cosines = F.normalize(kernels, dim=1) @ F.normalize(self._kernels, dim=1).t()
        gain = (cosines - self.similarity).clamp_min(0.0)  # to stay alone costs nothing
        fits = cosines >= self.similarity
        if overlaps is not None:
            gain = gain / max(1.0 - self.similarity, EPSILON) + overlaps
            fits = (gain >= AGREEMENT) & ((overlaps > APART) | (cosines > SURE))
        rows, columns = linear_sum_assignment(gain.masked_fill(~fits, 0.0).numpy(), maximize=True)
        kept = fits[rows, columns]
        return torch.as_tensor(rows)[kept], torch.as_tensor(columns)[kept]

    def _keep(self, kept: Tensor) -> None:
        for name in ("_ids", "_kernels", "_sums", "_seen", "_last"):
            setattr(self, name, getattr(self, name)[kept])

    def _add(self, ids: Tensor, kernels: Tensor, scores: Tensor, frame: int) -> None:
        self._ids = torch.cat([self._ids, ids])
        self._kernels = torch.cat([self._kernels, kernels])
        self._sums = torch.cat([self._sums, scores])
        self._seen = torch.cat([self._seen, torch.ones_like(ids)])
        self._last = torch.cat([self._last, torch.full_like(ids, frame)])
        self._next_id += len(ids)


def mask_overlaps(masks: Tensor, others: Tensor) -> Tensor:
    """IoU (n,M) of masks (n,h,w) with others (M,h,w), bool; 0 where both are empty."""
    ours, theirs = masks.flatten(1).float(), others.flatten(1).float()
    both = ours @ theirs.t()
    return both / (ours.sum(dim=1).unsqueeze(1) + theirs.sum(dim=1).unsqueeze(0) - both).clamp_min(1.0)
