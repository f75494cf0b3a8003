"""Transformer over pooled tokens, and the injection of what it has seen into local features.

It is TopFormer's (Zhang et al., CVPR 2022); the other attention is SeaFormer's (Wan et al., ICLR 2023).

Shape letters: B images, C channels, h w cells, D length of a key, N heads.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth
from torchvision.ops.misc import Conv2dNormActivation

from vossegcli.systems.mobileinst.config import MobileInstConfig

DROP = 0.1  # probability that the last transformer block leaves an image as it is; earlier ones do so less often
_KEY = 16
_AXIS = 16  # positions that the axial attention has embeddings for; between them they are interpolated

conv_norm = partial(Conv2dNormActivation, activation_layer=None)  # without an activation
conv_relu6 = partial(Conv2dNormActivation, activation_layer=nn.ReLU6)


def _silent(layer: Conv2dNormActivation) -> Conv2dNormActivation:
    """Let a layer with norm start at zero, so that what it is added to starts unchanged."""
    nn.init.zeros_(layer[1].weight)
    return layer


class GlobalAttention(nn.Module):
    """Every token attends to every other; queries and keys are not scaled, as in TopFormer."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = conv_norm(channels, _KEY * heads, 1)
        self.to_k = conv_norm(channels, _KEY * heads, 1)
        self.to_v = conv_norm(channels, 2 * _KEY * heads, 1)
        self.proj = nn.Sequential(nn.ReLU6(), _silent(conv_norm(2 * _KEY * heads, channels, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to the same shape."""
        q, k, v = (f(x).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3) for f in self._maps())  # (B,N,hw,D)
        found = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        mixed: Tensor = self.proj(found.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:]))
        return mixed

    def _maps(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self.to_q, self.to_k, self.to_v


class AxialAttention(nn.Module):
    """Squeeze-enhanced axial attention: rows and columns are squeezed to their means, which attend to each other.

    What squeezing loses comes back through a depthwise convolution of queries, keys and values, gated by the result.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        width = _KEY * heads
        self.to_q = conv_norm(channels, width, 1)
        self.to_k = conv_norm(channels, width, 1)
        self.to_v = conv_norm(channels, 2 * width, 1)
        self.positions = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(1, width, _AXIS)) for name in ("row_q", "row_k", "column_q", "column_k")}
        )
        self.encode_row = nn.Sequential(nn.ReLU6(), _silent(conv_norm(2 * width, 2 * width, 1)))
        self.encode_column = nn.Sequential(nn.ReLU6(), _silent(conv_norm(2 * width, 2 * width, 1)))
        self.proj = nn.Sequential(nn.ReLU6(), _silent(conv_norm(2 * width, channels, 1)))
        self.detail = nn.Sequential(
            conv_relu6(4 * width, 4 * width, 3, groups=4 * width), conv_norm(4 * width, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to the same shape."""
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        detail: Tensor = self.detail(torch.cat([q, k, v], dim=1))
        row = self._along(q.mean(3), k.mean(3), v.mean(3), "row")  # (B,2D,h)
        column = self._along(q.mean(2), k.mean(2), v.mean(2), "column")
        mixed = v + self.encode_row(row.unsqueeze(3)) + self.encode_column(column.unsqueeze(2))
        return F.hardsigmoid(self.proj(mixed)) * detail

    def _along(self, q: Tensor, k: Tensor, v: Tensor, axis: str) -> Tensor:
        """Attention along an axis of length n: queries and keys (B,D,n), values (B,2D,n) to (B,2D,n)."""
        placed = []
        for name, x in (("q", q), ("k", k)):
            table = self.positions[f"{axis}_{name}"]
            placed.append(x + F.interpolate(table, size=x.shape[2], mode="linear", align_corners=False))
        parts = [x.unflatten(1, (self.heads, -1)).transpose(2, 3) for x in (*placed, v)]
        return F.scaled_dot_product_attention(*parts).transpose(2, 3).flatten(1, 2)


class TransformerBlock(nn.Module):
    """Attention and a feed-forward layer with a depthwise convolution, each added to its input."""

    def __init__(self, channels: int, config: MobileInstConfig, drop: float) -> None:
        super().__init__()
        self.drop = StochasticDepth(drop, "row")
        kind = GlobalAttention if config.attention == "global" else AxialAttention
        self.attn = kind(channels, config.heads)
        self.mlp = nn.Sequential(
            conv_norm(channels, 2 * channels, 1),
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels),
            nn.ReLU6(),
            conv_norm(2 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B,C,h,w) to the same shape."""
        x = x + self.drop(self.attn(x))
        y: Tensor = x + self.drop(self.mlp(x))
        return y


class Injection(nn.Module):
    """Local features, gated by global ones, plus global ones: `act(g) * l + g'`."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.local_embedding = conv_norm(channels, out_channels, 1)
        self.global_embedding = conv_norm(channels, out_channels, 1)
        self.global_act = conv_norm(channels, out_channels, 1)

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Map (B,C,h,w) and the level's own part (B,C,h/n,w/n) of the global features to (B,C',h,w)."""
        gate, addend = (
            F.interpolate(part, size=local.shape[2:], mode="bilinear", align_corners=False)
            for part in (F.hardsigmoid(self.global_act(context)), self.global_embedding(context))
        )
        return torch.addcmul(addend, self.local_embedding(local), gate)
