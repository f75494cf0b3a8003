"""The AFB-URR network: encode a frame, encode it with its masks, match, decode. Holds no state of a video.

Shape letters: B frames or clips, K classes (background is class 0), C key channels, V value channels,
H W pixels (multiples of 16), h w cells at stride 16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vossegcli.layers.blocks import conv3x3
from vossegcli.layers.inference import inference_copy, store_convolutions
from vossegcli.ops.pooling import masks_at_stride4
from vossegcli.systems.afb_urr.config import AFBURRConfig, LiteTrunk
from vossegcli.systems.afb_urr.decoder import Decoder, Skips
from vossegcli.systems.afb_urr.encoders import FineKey, KeyValue, MemoryEncoder, Pyramid, QueryEncoder
from vossegcli.systems.afb_urr.lite_encoders import LiteMemoryEncoder, LiteQueryEncoder
from vossegcli.systems.afb_urr.matching import local_weights, read_locally
from vossegcli.systems.afb_urr.stripes import softmax_of_classes
from vossegcli.systems.afb_urr.target_model import Stages, describe
from vossegcli.systems.afb_urr.window import decode_near

STRIDE = 16
#: Classes that are encoded together: bounds memory with many objects, changes no number.
CLASSES_ENCODED_AT_ONCE = 64


class QueryFeatures(NamedTuple):
    """A frame as the decoder and the matcher need it.

    Attributes:
        key: (B,C,h,w) float32.
        fine_key: (B,Cf,H/8,W/8) float32, when the config has locality.
        skips: what the decoder computes once a frame.
        stages: as the target model sees the frame, when the config has one.
    """

    key: Tensor
    fine_key: Tensor | None
    skips: Skips
    stages: Stages | None


class MemoryFeatures(NamedTuple):
    """A frame and its masks as memory entries, float32.

    Attributes:
        keys: (B,K,hw,C).
        values: (B,K,hw,V+mask_channels); the last channels hold the mask itself.
    """

    keys: Tensor
    values: Tensor


class AFBURR(nn.Module):
    """The network. Stored weights use the public checkpoint's names."""

    def __init__(self, config: AFBURRConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder_m, self.encoder_q = _encoders(config)
        r1_width, r2_width, r3_width, query_width = self.encoder_q.widths
        memory_width = self.encoder_m.widths[-1]
        self.keyval_r4 = KeyValue(query_width, config.key_channels, config.value_channels, unit_keys=config.unit_keys)
        # Published: one projection for both encoders. Trunks of different width need a value projection each.
        self.memory_value = None if memory_width == query_width else conv3x3(memory_width, config.value_channels)
        read_channels = config.value_channels + config.mask_channels
        local_channels = config.mask_channels if config.locality else 0
        self.decoder = Decoder(
            match_channels=(read_channels, config.value_channels, local_channels),
            skip_widths=(r1_width, r2_width, r3_width),
            channels=config.decoder_channels,
            local_channels=config.local_channels,
            guidance_channels=bool(config.mask_cells) + 2 * bool(config.locality) + config.annotated_read,
            light_skips=config.light_skips,
        )
        self.fine_key: FineKey | None = None
        self.log_sigma: nn.Parameter | None = None
        if config.locality:
            self.fine_key = FineKey(r3_width, query_width, config.locality.key_channels)
            self.log_sigma = nn.Parameter(torch.tensor(2.0).log())

    def encode_query(self, frames: Tensor) -> QueryFeatures:
        """Encode frames (B,3,H,W), RGB in [0, 1]."""
        pyramid = self.encoder_q(frames)
        skips = self.decoder.skips(pyramid, self.keyval_r4.value(pyramid.r4))
        stages = describe(frames, pyramid) if self.config.target else None
        return QueryFeatures(*self._keys(pyramid), skips, stages)

    def encode_keys(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode frames (B,3,H,W) to keys (B,C,h,w) and fine keys (B,Cf,H/8,W/8) alone."""
        return self._keys(self.encoder_q(frames))

    def _keys(self, pyramid: Pyramid) -> tuple[Tensor, Tensor | None]:
        fine = None if self.fine_key is None else self.fine_key(pyramid.r3, pyramid.r4)
        return self.keyval_r4.key(pyramid.r4).float(), fine

    def encode_memory(self, frames: Tensor, masks: Tensor, query_key: Tensor) -> MemoryFeatures:
        """Encode frames with their masks as memory entries.

        Args:
            frames: (B,3,H,W) RGB in [0, 1].
            masks: (B,K,H,W) soft or hard masks, background as class 0.
            query_key: (B,C,h,w) key of the same frames; becomes the memory's key where the config says so.
        """
        classes = masks.shape[1]
        if self.training or classes <= CLASSES_ENCODED_AT_ONCE:  # batch norms that train need all classes
            return self._encode_memory(frames, masks, query_key)
        parts = [self._encode_memory(frames, part, query_key) for part in masks.split(CLASSES_ENCODED_AT_ONCE, dim=1)]
        values = torch.cat([part.values for part in parts], dim=1)
        if self.config.key_source == "frame":
            return MemoryFeatures(parts[0].keys[:, :1].expand(-1, classes, -1, -1), values)
        return MemoryFeatures(torch.cat([part.keys for part in parts], dim=1), values)

    def _encode_memory(self, frames: Tensor, masks: Tensor, query_key: Tensor) -> MemoryFeatures:
        """Encode all classes together."""
        batch, classes = masks.shape[:2]
        r4 = self.encoder_m(frames, masks)  # (B*K,C4,h,w)
        project = self.keyval_r4.value if self.memory_value is None else self.memory_value
        values = project(r4).float().flatten(2).transpose(1, 2).unflatten(0, (batch, classes))  # (B,K,hw,V)
        if self.config.mask_cells:
            values = torch.cat([values, self.mask_cells(masks)], dim=-1)
        if self.config.key_source == "frame":
            keys = flatten_cells(query_key).unsqueeze(1).expand(-1, classes, -1, -1)
        else:
            keys = flatten_cells(self.keyval_r4.key(r4).float()).unflatten(0, (batch, classes))
        return MemoryFeatures(keys, values)

    def remembered(self, logits: Tensor) -> Tensor:
        """Turn log odds (B,K,H,W) of predicted masks into the masks that enter the memory, probabilities over K."""
        return softmax_of_classes(logits, self.config.memory_sharpness)

    def mask_cells(self, masks: Tensor) -> Tensor:
        """Average masks (B,K,H,W) over the n x n parts of each cell: (B,K,hw,n*n)."""
        cells = F.pixel_unshuffle(masks_at_stride4(masks).unsqueeze(2), self.config.mask_cells)  # (B,K,n*n,h,w)
        return cells.flatten(3).transpose(2, 3)

    def weigh_newest(self, query_key: Tensor, key: Tensor) -> list[Tensor]:
        """Weigh the cells of the newest frame by how alike and how near they are; needs no masks.

        Args:
            query_key: (B,Cf,H/8,W/8) fine key of the current frame.
            key: (B,Cf,H/8,W/8) fine key of the newest frame with masks.

        Returns:
            weights for `read_newest`.
        """
        assert self.config.locality is not None
        assert self.log_sigma is not None
        return local_weights(key, query_key, self.log_sigma.exp(), *self.config.locality.distance)

    def read_newest(self, weights: list[Tensor], small: Tensor) -> Tensor:
        """Propagate the newest frame's masks by local attention.

        Args:
            weights: from `weigh_newest`.
            small: (B,K,H/4,W/4) masks of the newest frame, from `masks_at_stride4`.

        Returns:
            (B,K,2,H/4,W/4) in the weights' type: the masks as read, and as they are.
        """
        assert self.config.locality is not None
        parts = F.pixel_unshuffle(small, 2)  # (B,K*4,H/8,W/8)
        read = F.pixel_shuffle(read_locally(weights, parts, *self.config.locality.distance), 2)  # (B,K,H/4,W/4)
        return torch.stack([read, small.to(read.dtype)], dim=2)

    def decode(
        self,
        read: Tensor,
        query: QueryFeatures,
        newest: Tensor | None,
        annotated: Tensor | None = None,
        target: Tensor | None = None,
    ) -> Tensor:
        """Decode what was read for every class.

        Args:
            read: (B,K,hw,V+mask_channels) from the bank.
            query: the frame's features.
            newest: (B,K,2,H/4,W/4) from `read_newest`, when the config has locality.
            annotated: (B,K,hw,mask_channels) read from the annotated frames alone, when the config says so.
            target: (B,K,H/4,W/4) scores of the target model, when the config has one.

        Returns:
            (B,K,H,W) float32 log odds of each class on its own.
        """
        height, width = query.key.shape[-2:]
        read_map = _to_map(read, height, width)  # (B,K,V+mask_channels,h,w)
        newest_map = guidance = None
        if self.config.mask_cells:
            guidance = F.pixel_shuffle(read_map[:, :, self.config.value_channels :], self.config.mask_cells)
            if newest is not None:
                newest = newest.to(read.dtype)
                guidance = torch.cat([guidance, newest], dim=2)  # (B,K,3,H/4,W/4)
                newest_map = F.pixel_unshuffle(newest[:, :, :1], self.config.mask_cells)  # (B,K,n*n,h,w)
            if annotated is not None:
                cells = _to_map(annotated.to(read.dtype), height, width)
                guidance = torch.cat([guidance, F.pixel_shuffle(cells, self.config.mask_cells)], dim=2)
        evidence = None
        if self.config.target is not None and target is not None:
            evidence = self.config.target.odds * (target - 0.5).clamp(-1.0, 1.0)
        found = (read_map, query.skips, newest_map, guidance, evidence)
        if self.config.decode_near and not self.training:
            return decode_near(self.decoder, self.config.decode_near, *found)
        log_odds: Tensor = self.decoder(*found)
        return log_odds


def _encoders(config: AFBURRConfig) -> tuple[MemoryEncoder | LiteMemoryEncoder, QueryEncoder | LiteQueryEncoder]:
    """Build the encoders of a configuration."""
    memory, query = config.memory_trunk, config.query_trunk
    return (
        LiteMemoryEncoder(memory) if isinstance(memory, LiteTrunk) else MemoryEncoder(memory),
        LiteQueryEncoder(query, context=config.context) if isinstance(query, LiteTrunk) else QueryEncoder(query),
    )


def folded_copy(model: AFBURR, precision: torch.dtype) -> AFBURR:
    """Copy a network for inference: eval mode, no gradients, batch norms folded, channels last; same numbers.

    The convolutions' weights are stored in `precision`: autocast would convert them anew at every call.
    """
    twin = inference_copy(model, precision)
    store_convolutions(twin, precision)
    return twin.to(memory_format=torch.channels_last)


def flatten_cells(features: Tensor) -> Tensor:
    """(B,C,h,w) to (B,hw,C)."""
    return features.flatten(2).transpose(1, 2)


def _to_map(cells: Tensor, height: int, width: int) -> Tensor:
    """(B,K,hw,C) to (B,K,C,h,w)."""
    maps: Tensor = cells.transpose(2, 3).unflatten(3, (height, width))
    return maps
