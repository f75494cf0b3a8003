"""Dual-transformer instance decoder: queries look at the whole image, then at the mask features (paper sec. 3.2).

Shape letters: B images, N queries, C channels, K length of a kernel, L classes, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.systems.mobileinst.backbone import STRIDE
from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.locating import Locator, nearness
from vossegcli.systems.mobileinst.mask_decoder import MASK_STRIDE, REACH
from vossegcli.systems.mobileinst.positions import cell_places, encode_places

PRIOR = 0.01  # probability of a class that every query starts with


class Predictions(NamedTuple):
    """What the queries say.

    Attributes:
        kernels: (B,N,K).
        logits: (B,N,L) of the classes.
        objectness: (B,N) logits; how good the mask is.
        places: (B,N,2) where the instances are, (x, y) in pixels of the image; None = the queries do not say.
    """

    kernels: Tensor
    logits: Tensor
    objectness: Tensor
    places: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Predictions:
        """The same with every tensor changed."""
        places = None if self.places is None else change(self.places)
        return Predictions(change(self.kernels), change(self.logits), change(self.objectness), places)


class Nearness(NamedTuple):
    """Windows of attention (see `locating.nearness`): on tokens (heads,N,T) and on other queries (heads,N,N)."""

    tokens: Tensor
    queries: Tensor


class Decoder(nn.Module):
    """Queries attend to tokens, then to each other; normalised before each."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.cross_norm = nn.LayerNorm(channels)
        self.cross = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.self_norm = nn.LayerNorm(channels)
        self.self_attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(
        self, queries: Tensor, places: Tensor, tokens: Tensor, token_places: Tensor, near: Nearness | None
    ) -> Tensor:
        """Update queries.

        Args:
            queries: (B,N,C).
            places: (N,C) or (B,N,C) encodings that mark the queries.
            tokens: (B,h*w,C).
            token_places: (h*w,C) encodings of the tokens' places.
            near: where queries look; tokens tell their places to the queries then too, not only to the attention.
                None = everywhere alike, as in the paper.
        """
        keys = tokens + token_places
        q = self.cross_norm(queries) + places
        windows = (None, None) if near is None else (_for_all(near.tokens, queries), _for_all(near.queries, queries))
        values = tokens if near is None else keys
        queries = queries + self.cross(q, keys, values, attn_mask=windows[0], need_weights=False)[0]
        normed = self.self_norm(queries)
        marked = normed + places
        mixed: Tensor = (
            queries + self.self_attention(marked, marked, normed, attn_mask=windows[1], need_weights=False)[0]
        )
        return mixed


def _for_all(window: Tensor, queries: Tensor) -> Tensor:
    """A window (heads,N,T) for every image of a batch, (B*heads,N,T), as torch's attention takes it."""
    batch = queries.shape[0]
    return window.to(queries.dtype).expand(batch, *window.shape).flatten(0, 1)


class InstanceDecoder(nn.Module):
    """Global decoder on X6, local decoder on the pooled mask features, feed-forward layer, heads."""

    def __init__(self, config: MobileInstConfig, context: int) -> None:
        super().__init__()
        channels = config.channels
        self.config = config
        self.project = nn.Conv2d(context, channels, 1)
        self.query_feat = nn.Embedding(1 if config.pitch else config.queries, channels)
        self.query_embed = None if config.pitch else nn.Embedding(config.queries, channels)
        self.context_decoder = Decoder(channels, config.decoder_heads)
        self.local_decoder = Decoder(channels, config.decoder_heads)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, config.feedforward), nn.ReLU(inplace=True),
            nn.Linear(config.feedforward, channels),
        )  # fmt: skip
        self.norm = nn.LayerNorm(channels)
        self.cls_score = nn.Linear(channels, config.classes)
        self.objectness = nn.Linear(channels, 1)
        self.mask_kernel = nn.Linear(channels, config.kernel)
        self.locator = Locator(channels, config.kernel) if config.pitch else None
        nn.init.constant_(self.cls_score.bias, -math.log((1.0 - PRIOR) / PRIOR))
        if config.pitch:  # near places look alike to the attention from the start
            for decoder in (self.context_decoder, self.local_decoder):
                weight = decoder.cross.in_proj_weight
                assert weight is not None
                with torch.no_grad():
                    weight[channels : 2 * channels] = weight[:channels]

    def look_around(self, context: Tensor, origin: Tensor) -> Tensor:
        """The global decoder: queries (B,N,C) that have seen X6 (B,C',h,w) of their image, which lies at (2,)."""
        tokens = self.project(context)
        places = self._query_places((context.shape[2] * STRIDE, context.shape[3] * STRIDE), origin)
        queries = self.query_feat.weight.expand(context.shape[0], places.shape[0], -1)
        encoded = self._token_places(tokens, STRIDE, origin)
        near = self._nearness(tokens, STRIDE)
        seen: Tensor = self.context_decoder(queries, places, tokens.flatten(2).transpose(1, 2), encoded, near)
        return seen

    def look_closely(self, queries: Tensor, features: Tensor, origin: Tensor) -> Tensor:
        """The local decoder: queries (B,N,C), also those of an earlier frame, that have seen X_mask (B,C,h,w)."""
        pool = F.max_pool2d if self.config.pooling == "max" else F.avg_pool2d
        tokens = pool(features, self.config.local_stride // MASK_STRIDE)
        places = self._query_places((features.shape[2] * MASK_STRIDE, features.shape[3] * MASK_STRIDE), origin)
        encoded = self._token_places(tokens, self.config.local_stride, origin)
        near = self._nearness(tokens, self.config.local_stride)
        queries = self.local_decoder(queries, places, tokens.flatten(2).transpose(1, 2), encoded, near)
        updated: Tensor = queries + self.feedforward(queries)
        return updated

    def predict(self, queries: Tensor, size: tuple[int, int], origin: Tensor) -> Predictions:
        """Apply the heads to queries (B,N,C) of images of a size (H,W) that lie at an origin (2,)."""
        x = self.norm(queries)
        kernels, places = self.mask_kernel(x), None
        if self.locator is not None:
            places = self.begin_at(size) + REACH * self.locator.way(x).float()
            kernels = self.locator.kernels(kernels, places + origin)
        return Predictions(kernels, self.cls_score(x), self.objectness(x).squeeze(2), places)

    def begin_at(self, size: tuple[int, int]) -> Tensor:
        """Places (N,2) all over an image where queries begin."""
        pitch = self.config.pitch
        places = cell_places(-(-size[0] // pitch), -(-size[1] // pitch), pitch, self.query_feat.weight.device)
        return places.flatten(0, 1)

    def _query_places(self, size: tuple[int, int], origin: Tensor) -> Tensor:
        """Encodings (N,C): of places all over the image, or learnt ones."""
        if self.query_embed is not None:
            return self.query_embed.weight
        places = encode_places(self.begin_at(size) + origin, self.config.channels)
        return places.to(self.query_feat.weight.dtype)

    def _nearness(self, tokens: Tensor, stride: int) -> Nearness | None:
        """Where queries look, among tokens (B,C,h,w)."""
        pitch, heads = self.config.pitch, self.config.decoder_heads
        if not pitch:
            return None
        height, width = tokens.shape[2:]
        begins = self.begin_at((height * stride, width * stride))
        places = cell_places(height, width, stride, tokens.device).flatten(0, 1)
        return Nearness(nearness(begins, places, heads, pitch), nearness(begins, begins, heads, pitch))

    def _token_places(self, tokens: Tensor, stride: int, origin: Tensor) -> Tensor:
        places = cell_places(tokens.shape[2], tokens.shape[3], stride, tokens.device) + origin
        return encode_places(places, tokens.shape[1]).flatten(0, 1).to(tokens.dtype)
