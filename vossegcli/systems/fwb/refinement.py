"""Refinement of a rough mask at stride 8 by finer features (an addition; after AFB-URR's uncertain-region refinement).

First the rough mask is looked at as a whole, at stride 8; then, at stride 4, cells that are unsure are compared with
the class and with its surroundings in their neighbourhood.

Shape letters: B images, M maps, D channels of the context, E of the fine features, h w cells at stride 8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import PreActivationBlock, conv3x3, upsample2

WINDOW = 7
EPSILON = 1e-3


class Refinement(nn.Module):
    """From rough log-odds at stride 8 to finer ones at stride 4; starts by leaving them as they are.

    Args:
        context: D.
        maps: M.
        fine: E.
        channels: width at stride 4; twice as many at stride 8.
    """

    def __init__(self, context: int, maps: int, fine: int, channels: int) -> None:
        super().__init__()
        self.join = conv3x3(context + maps + 1, 2 * channels)
        self.near = PreActivationBlock(2 * channels)
        self.far = PreActivationBlock(2 * channels)
        for conv in (self.far.conv1, self.far.conv2):
            conv.dilation, conv.padding = (3, 3), (3, 3)
        self.rough = conv3x3(2 * channels, 1)
        self.reduce = nn.Conv2d(2 * channels, channels, 1)
        self.skip = conv3x3(fine, channels)
        self.compare = conv3x3(channels + 3, channels)
        self.local = PreActivationBlock(channels)
        self.final = conv3x3(channels, 1)
        for head in (self.rough, self.final):
            nn.init.zeros_(head.weight)

    def forward(self, odds: Tensor, maps: Tensor, context: Tensor, fine: Tensor) -> Tensor:
        """Refine.

        Args:
            odds: (B,h,w) log-odds of the class.
            maps: (B,M,h,w) similarities.
            context: (B,D,h,w).
            fine: (B,E,2h,2w).

        Returns:
            (B,2h,2w) log-odds.
        """
        rough = odds.unsqueeze(1)
        whole = self.far(self.near(self.join(torch.cat([context, maps, rough.tanh()], dim=1))))
        rough = upsample2(rough + self.rough(F.relu(whole)).float())  # (B,1,2h,2w)
        probs = rough.sigmoid()
        skip = F.relu(self.skip(fine))
        differences = local_differences(skip.float(), probs)
        joined = self.compare(torch.cat([skip, differences, 2.0 * probs - 1.0], dim=1)) + upsample2(self.reduce(whole))
        local = self.final(F.relu(self.local(joined))).float()
        refined: Tensor = rough + uncertainty(probs) * local
        return refined[:, 0]


def uncertainty(probs: Tensor) -> Tensor:
    """Uncertainty of a pixel: 1 at probability 0.5, towards 0 where it is clear.

    `U = exp(1 - p1 / p2)` of the larger and the smaller of the two probabilities (AFB-URR, eq. 9), of their roots here,
    so that more than a thin line counts.
    """
    larger = torch.maximum(probs, 1.0 - probs)
    return torch.exp(1.0 - (larger / (1.0 - larger).clamp_min(EPSILON)).sqrt())


def local_differences(features: Tensor, probs: Tensor) -> Tensor:
    """Compare features with the mean of the class and of its surroundings in a window around them.

    Args:
        features: (B,E,H,W).
        probs: (B,1,H,W) probability of the class.

    Returns:
        (B,2,H,W) root mean square difference to the class and to the surroundings; beyond the border nothing counts.
    """
    return torch.cat([_difference(features, share) for share in (probs, 1.0 - probs)], dim=1)


def _difference(features: Tensor, share: Tensor) -> Tensor:
    sums = _window_mean(torch.cat([features * share, share], dim=1))
    reference = sums[:, :-1] / (sums[:, -1:] + EPSILON)
    return ((features - reference).square().mean(dim=1, keepdim=True) + EPSILON**2).sqrt()


def _window_mean(x: Tensor) -> Tensor:
    """Mean of (B,C,H,W) over 7x7 windows, as depthwise convolutions: on a CPU faster than pooling."""
    weight = x.new_full((x.shape[1], 1, WINDOW, 1), 1.0 / WINDOW)
    rows = F.conv2d(x, weight, padding=(WINDOW // 2, 0), groups=x.shape[1])
    return F.conv2d(rows, weight.transpose(2, 3), padding=(0, WINDOW // 2), groups=x.shape[1])
