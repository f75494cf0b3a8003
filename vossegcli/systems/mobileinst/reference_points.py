"""Reference points, an addition to the paper: kernels know where their instances are.

Convolutions see no difference between two objects that look alike. So every cell says where the centre of its instance
is (an offset), every query has a reference point, and both points, encoded alike, take part in the product of kernel
and features: from the start, before anything is learnt, a query finds the cells that point to it. A cell that moves
with its object points to a point that moves too.

And queries look near themselves first (`attention_bias`), as in Gao et al., "Fast convergence of DETR with spatially
modulated co-attention", ICCV 2021: left to find out where to look, they need far more training than a small data set
gives.

Shape letters: B images, N queries, C channels, K length of a kernel, h w cells at stride 8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.systems.mobileinst.positions import encode_points, wavelengths

FARTHEST = 256.0  # pixels: longer waves hardly change from one object to the next
BUMP = 8.0  # what it rises by where a cell points to the query
SILENCE = -4.0  # logit of a mask where nothing points to its query


def attention_bias(points: Tensor, others: Tensor, heads: int, sigma: float) -> Tensor:
    """Bias of attention logits by the distance from points (N,2) to others (T,2): (heads,N,T), at most 0.

    A Gaussian window a head: the first two are `sigma` pixels wide, the next two twice as wide, and so on; the last one
    is as wide as the image.
    """
    widths = sigma * 2.0 ** torch.div(torch.arange(heads, device=points.device), 2, rounding_mode="floor")
    widths[-1] = float("inf")
    squares = (points.unsqueeze(1) - others).square().sum(dim=2)  # (N,T); of few points, ONNX has no torch.cdist
    return -0.5 * squares / widths.square().view(-1, 1, 1)


class PointEmbedding(nn.Module):
    """Brings points into kernels and mask features; the last channel of both is taken, for the kernels' own bias."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.channels = channels
        self.project = nn.Linear(channels, kernel - 1, bias=False)
        self.offset = nn.Linear(channels, 2)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        near = wavelengths(channels, torch.device("cpu")) <= FARTHEST
        with torch.no_grad():  # then the product of a point with itself is about BUMP
            self.project.weight.normal_(0.0, (BUMP / ((kernel - 1) * 2 * int(near.sum()))) ** 0.5)
            self.project.weight *= near.repeat(4).to(self.project.weight.device)  # x and y, sines and cosines

    def features(self, features: Tensor, centres: Tensor, branch: nn.Conv2d, projection: nn.Conv2d) -> Tensor:
        """Embed features for the kernels, with the centres that their cells point to.

        It is `branch(features + projection(centres)) + project(centres)`, and one in the last channel. What centres are
        multiplied with is added up first: there are fewer weights than cells.

        Args:
            features: (B,C,h,w).
            centres: encodings (B,h,w,C).
            branch: 1x1 convolution to K channels.
            projection: 1x1 convolution of the encodings.

        Returns:
            (B,K,h,w).
        """
        assert branch.bias is not None
        assert projection.bias is not None
        own = branch.weight[:-1].flatten(1)
        located = own @ projection.weight.flatten(1) + self.project.weight
        bias = own @ projection.bias + branch.bias[:-1]
        of_features = F.linear(features.permute(0, 2, 3, 1), F.pad(own, (0, 0, 0, 1)), F.pad(bias, (0, 1), value=1.0))
        embedded = of_features.flatten(0, 2).addmm(centres.flatten(0, 2), F.pad(located, (0, 0, 0, 1)).t())
        return embedded.view(*centres.shape[:3], -1).permute(0, 3, 1, 2)

    def kernels(self, kernels: Tensor, points: Tensor) -> Tensor:
        """Kernels (B,N,K) of queries that are at points (B,N,2)."""
        located = self.project(self._encoded(points, kernels.dtype))
        return torch.cat([kernels[..., :-1] + located, kernels[..., -1:] + SILENCE], dim=-1)

    def moved(self, kernels: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Kernels (N,K) of queries that were at points (N,2) and are at others now."""
        change = self.project(self._encoded(after, kernels.dtype) - self._encoded(before, kernels.dtype))
        return torch.cat([kernels[:, :-1] + change, kernels[:, -1:]], dim=1)

    def _encoded(self, points: Tensor, dtype: torch.dtype) -> Tensor:
        """Encodings; no gradient flows back through the sines."""
        return encode_points(points.detach(), self.channels).to(dtype)
