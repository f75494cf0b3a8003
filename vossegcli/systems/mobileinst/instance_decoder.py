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

from vossegcli.ops.cells import cell_centres
from vossegcli.systems.mobileinst.backbone import STRIDE
from vossegcli.systems.mobileinst.config import MobileInstConfig
from vossegcli.systems.mobileinst.mask_decoder import FEATURE_STRIDE, OFFSET_SCALE
from vossegcli.systems.mobileinst.positions import encode_points
from vossegcli.systems.mobileinst.reference_points import PointEmbedding, attention_bias

PRIOR = 0.01  # probability of a class that every query starts with


class Predictions(NamedTuple):
    """Output of the queries.

    Attributes:
        kernels: (B,N,K).
        logits: (B,N,L) of the classes.
        objectness: (B,N) logits; how good the mask is.
        reference_points: (B,N,2) centres of the instances, (x, y) in pixels of the image; None = the queries have none.
    """

    kernels: Tensor
    logits: Tensor
    objectness: Tensor
    reference_points: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Predictions:
        """Apply a function to every tensor."""
        points = None if self.reference_points is None else change(self.reference_points)
        return Predictions(change(self.kernels), change(self.logits), change(self.objectness), points)


class AttentionBias(NamedTuple):
    """Attention biases (see `reference_points`): on tokens (heads,N,T) and on other queries (heads,N,N)."""

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
        self,
        queries: Tensor,
        query_encodings: Tensor,
        tokens: Tensor,
        token_encodings: Tensor,
        bias: AttentionBias | None,
    ) -> Tensor:
        """Update queries.

        Args:
            queries: (B,N,C).
            query_encodings: (N,C) or (B,N,C), mark the queries.
            tokens: (B,h*w,C).
            token_encodings: (h*w,C) of the tokens' points.
            bias: of the attention; tokens tell their points to the queries then too, not only to the attention.
                None = everywhere alike, as in the paper.
        """
        keys = tokens + token_encodings
        q = self.cross_norm(queries) + query_encodings
        masks = (None, None) if bias is None else (_for_all(bias.tokens, queries), _for_all(bias.queries, queries))
        values = tokens if bias is None else keys
        queries = queries + self.cross(q, keys, values, attn_mask=masks[0], need_weights=False)[0]
        normed = self.self_norm(queries)
        marked = normed + query_encodings
        mixed: Tensor = queries + self.self_attention(marked, marked, normed, attn_mask=masks[1], need_weights=False)[0]
        return mixed


def _for_all(bias: Tensor, queries: Tensor) -> Tensor:
    """A bias (heads,N,T) for every image of a batch, (B*heads,N,T), as torch's attention takes it."""
    batch = queries.shape[0]
    return bias.to(queries.dtype).expand(batch, *bias.shape).flatten(0, 1)


class InstanceDecoder(nn.Module):
    """Global decoder on X6, local decoder on the pooled mask features, feed-forward layer, heads."""

    def __init__(self, config: MobileInstConfig, context: int) -> None:
        super().__init__()
        channels = config.channels
        self.config = config
        self.project = nn.Conv2d(context, channels, 1)
        self.query_feat = nn.Embedding(1 if config.query_stride else config.queries, channels)
        self.query_embed = None if config.query_stride else nn.Embedding(config.queries, channels)
        self.global_decoder = Decoder(channels, config.decoder_heads)
        self.local_decoder = Decoder(channels, config.decoder_heads)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, config.feedforward), nn.ReLU(inplace=True),
            nn.Linear(config.feedforward, channels),
        )  # fmt: skip
        self.norm = nn.LayerNorm(channels)
        self.cls_score = nn.Linear(channels, config.classes)
        self.objectness = nn.Linear(channels, 1)
        self.mask_kernel = nn.Linear(channels, config.kernel)
        self.point_embedding = PointEmbedding(channels, config.kernel) if config.query_stride else None
        nn.init.constant_(self.cls_score.bias, -math.log((1.0 - PRIOR) / PRIOR))
        if config.query_stride:  # near points look alike to the attention from the start
            for decoder in (self.global_decoder, self.local_decoder):
                weight = decoder.cross.in_proj_weight
                assert weight is not None
                with torch.no_grad():
                    weight[channels : 2 * channels] = weight[:channels]

    def decode_global(self, context: Tensor, origin: Tensor) -> Tensor:
        """The global decoder: queries (B,N,C) that have seen X6 (B,C',h,w) of their image, which lies at (2,)."""
        tokens = self.project(context)
        own = self._query_encodings((context.shape[2] * STRIDE, context.shape[3] * STRIDE), origin)
        queries = self.query_feat.weight.expand(context.shape[0], own.shape[0], -1)
        encoded = self._token_encodings(tokens, STRIDE, origin)
        bias = self._attention_bias(tokens, STRIDE)
        seen: Tensor = self.global_decoder(queries, own, tokens.flatten(2).transpose(1, 2), encoded, bias)
        return seen

    def decode_local(self, queries: Tensor, features: Tensor, origin: Tensor) -> Tensor:
        """The local decoder: queries (B,N,C), also those of an earlier frame, that have seen X_mask (B,C,h,w)."""
        pool = F.max_pool2d if self.config.pooling == "max" else F.avg_pool2d
        tokens = pool(features, self.config.local_stride // FEATURE_STRIDE)
        own = self._query_encodings((features.shape[2] * FEATURE_STRIDE, features.shape[3] * FEATURE_STRIDE), origin)
        encoded = self._token_encodings(tokens, self.config.local_stride, origin)
        bias = self._attention_bias(tokens, self.config.local_stride)
        queries = self.local_decoder(queries, own, tokens.flatten(2).transpose(1, 2), encoded, bias)
        updated: Tensor = queries + self.feedforward(queries)
        return updated

    def predict(self, queries: Tensor, size: tuple[int, int], origin: Tensor) -> Predictions:
        """Apply the heads to queries (B,N,C) of images of a size (H,W) that lie at an origin (2,)."""
        x = self.norm(queries)
        kernels, points = self.mask_kernel(x), None
        if self.point_embedding is not None:
            points = self.initial_points(size) + OFFSET_SCALE * self.point_embedding.offset(x).float()
            kernels = self.point_embedding.kernels(kernels, points + origin)
        return Predictions(kernels, self.cls_score(x), self.objectness(x).squeeze(2), points)

    def initial_points(self, size: tuple[int, int]) -> Tensor:
        """Reference points (N,2) at which queries begin, all over an image."""
        stride = self.config.query_stride
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        return cell_centres(rows, columns, stride, self.query_feat.weight.device).flatten(0, 1)

    def _query_encodings(self, size: tuple[int, int], origin: Tensor) -> Tensor:
        """Encodings (N,C): of points all over the image, or learnt ones."""
        if self.query_embed is not None:
            return self.query_embed.weight
        points = encode_points(self.initial_points(size) + origin, self.config.channels)
        return points.to(self.query_feat.weight.dtype)

    def _attention_bias(self, tokens: Tensor, stride: int) -> AttentionBias | None:
        """Return the biases of attention on tokens (B,C,h,w) and on other queries; None without reference points."""
        sigma, heads = float(self.config.query_stride), self.config.decoder_heads
        if not sigma:
            return None
        height, width = tokens.shape[2:]
        initial = self.initial_points((height * stride, width * stride))
        points = cell_centres(height, width, stride, tokens.device).flatten(0, 1)
        return AttentionBias(
            attention_bias(initial, points, heads, sigma), attention_bias(initial, initial, heads, sigma)
        )

    def _token_encodings(self, tokens: Tensor, stride: int, origin: Tensor) -> Tensor:
        points = cell_centres(tokens.shape[2], tokens.shape[3], stride, tokens.device) + origin
        return encode_points(points, tokens.shape[1]).flatten(0, 1).to(tokens.dtype)
