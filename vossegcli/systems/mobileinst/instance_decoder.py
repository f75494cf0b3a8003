"""Dual-transformer instance decoder: queries look at the whole image, then at the mask features (paper sec. 3.2).

Shape letters: B images, N queries, C channels, K length of a kernel, L classes, h w cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.mask_decoder import MASK_STRIDE
from vossegcli.systems.mobileinst.positions import cell_places, encode_places, spread_places

PRIOR = 0.01  # probability of a class that every query starts with


class Predictions(NamedTuple):
    """What the queries say.

    Attributes:
        kernels: (B,N,K).
        logits: (B,N,L) of the classes.
        objectness: (B,N) logits; how good the mask is.
    """

    kernels: Tensor
    logits: Tensor
    objectness: Tensor


class Decoder(nn.Module):
    """Queries attend to tokens, then to each other; normalised before each."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.cross_norm = nn.LayerNorm(channels)
        self.cross = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.self_norm = nn.LayerNorm(channels)
        self.self_attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(
        self, queries: Tensor, places: Tensor, tokens: Tensor, token_places: Tensor, *, located: bool
    ) -> Tensor:
        """Update queries.

        Args:
            queries: (B,N,C).
            places: (N,C) or (B,N,C) encodings that mark the queries.
            tokens: (B,h*w,C).
            token_places: (h*w,C) encodings of the tokens' places.
            located: tokens tell their places to the queries too, not only to the attention.
        """
        keys = tokens + token_places
        q = self.cross_norm(queries) + places
        queries = queries + self.cross(q, keys, keys if located else tokens, need_weights=False)[0]
        normed = self.self_norm(queries)
        marked = normed + places
        mixed: Tensor = queries + self.self_attention(marked, marked, normed, need_weights=False)[0]
        return mixed


class InstanceDecoder(nn.Module):
    """Global decoder on X6, local decoder on the pooled mask features, feed-forward layer, heads."""

    def __init__(self, config: MobileInstConfig, context: int) -> None:
        super().__init__()
        channels = config.channels
        self.config = config
        self.project = nn.Conv2d(context, channels, 1)
        self.query_feat = nn.Embedding(config.queries, channels)
        self.query_embed = None if config.located else nn.Embedding(config.queries, channels)
        if config.located:
            self.register_buffer("anchors", spread_places(config.queries), persistent=False)
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
        nn.init.constant_(self.cls_score.bias, -math.log((1.0 - PRIOR) / PRIOR))
        if config.located:  # near places look alike to the attention from the start
            for decoder in (self.context_decoder, self.local_decoder):
                weight = decoder.cross.in_proj_weight
                assert weight is not None
                with torch.no_grad():
                    weight[channels : 2 * channels] = weight[:channels]

    def look_around(self, context: Tensor) -> Tensor:
        """The global decoder: queries (B,N,C) that have seen X6 (B,C',h,w) of their image."""
        tokens = self.project(context)
        queries = self.query_feat.weight.expand(context.shape[0], -1, -1)
        places = self._query_places(context.shape[2] * 64, context.shape[3] * 64)
        encoded = self._token_places(tokens, 64)
        seen: Tensor = self.context_decoder(
            queries, places, tokens.flatten(2).transpose(1, 2), encoded, located=self.config.located
        )
        return seen

    def look_closely(self, queries: Tensor, features: Tensor) -> Tensor:
        """The local decoder: queries (B,N,C), also those of an earlier frame, that have seen X_mask (B,C,h,w)."""
        pool = F.max_pool2d if self.config.pooling == "max" else F.avg_pool2d
        tokens = pool(features, self.config.local_stride // MASK_STRIDE)
        places = self._query_places(features.shape[2] * MASK_STRIDE, features.shape[3] * MASK_STRIDE)
        encoded = self._token_places(tokens, self.config.local_stride)
        queries = self.local_decoder(
            queries, places, tokens.flatten(2).transpose(1, 2), encoded, located=self.config.located
        )
        updated: Tensor = queries + self.feedforward(queries)
        return updated

    def predict(self, queries: Tensor) -> Predictions:
        """Apply the heads to queries (B,N,C)."""
        x = self.norm(queries)
        return Predictions(self.mask_kernel(x), self.cls_score(x), self.objectness(x).squeeze(2))

    def _query_places(self, height: int, width: int) -> Tensor:
        """Encodings (N,C): of places that are spread over the image, or learnt ones."""
        if self.query_embed is not None:
            return self.query_embed.weight
        size = torch.tensor([float(width), float(height)], device=self.query_feat.weight.device)
        assert isinstance(self.anchors, Tensor)
        return encode_places(self.anchors * size, self.config.channels).to(self.query_feat.weight.dtype)

    def _token_places(self, tokens: Tensor, stride: int) -> Tensor:
        places = cell_places(tokens.shape[2], tokens.shape[3], stride, tokens.device)
        return encode_places(places, tokens.shape[1]).flatten(0, 1).to(tokens.dtype)
